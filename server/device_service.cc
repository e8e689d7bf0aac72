#include "proto/convert.h"
#include "server/client_services.h"

namespace tessera::server {

grpc::Status DeviceServiceImpl::ListDevices(grpc::ServerContext*, const v1::ListDevicesRequest*,
                                            v1::ListDevicesReply* reply) {
  for (const db::Device& device : devices_.List()) *reply->add_devices() = proto::ToProto(device);
  return grpc::Status::OK;
}

grpc::Status DeviceServiceImpl::Drain(grpc::ServerContext*, const v1::DrainRequest* request,
                                      v1::DrainReply*) {
  return ToClient(dispatcher_.Drain(request->device(), request->reason()));
}

grpc::Status DeviceServiceImpl::Resume(grpc::ServerContext*, const v1::ResumeRequest* request,
                                       v1::ResumeReply*) {
  return ToClient(dispatcher_.Resume(request->device()));
}

}  // namespace tessera::server
