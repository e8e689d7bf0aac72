# Writes OUT, the source of Version() (base/version.h): RELEASE and a digest of the sources below CODE
# that the file LIST names.
file(READ ${LIST} files)
string(STRIP "${files}" files)
set(all "")
foreach(file IN LISTS files)
  file(SHA256 ${file} digest)
  file(RELATIVE_PATH name ${CODE} ${file})
  string(APPEND all "${digest} ${name}\n")
endforeach()
string(SHA256 digest "${all}")
string(SUBSTRING ${digest} 0 12 digest)
file(WRITE ${OUT} "#include \"base/version.h\"

namespace tessera {

std::string_view Version() { return \"${RELEASE}+${digest}\"; }

}  // namespace tessera
")
