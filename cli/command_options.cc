#include "cli/command_options.h"

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "base/third_party.h"
#include "proto/limits.h"

namespace tessera::cli {

CLI::Validator WholeNumber(int64_t low, int64_t high) {
  return {[low, high](const std::string& text) {
            int64_t value = 0;
            if (absl::SimpleAtoi(text, &value) && value >= low && value <= high)
              return std::string();
            return absl::StrCat("\"", text, "\" is not a whole number from ", low, " to ", high);
          },
          absl::StrCat("in [", low, " - ", high, "]"), ""};
}

CLI::Validator Seconds() {
  return {[](const std::string& text) {
            double value = 0;
            if (absl::SimpleAtod(text, &value) && value >= 0 && value <= proto::kMaxSeconds) {
              return std::string();
            }
            return absl::StrCat("\"", text, "\" is not a number of seconds from 0 to ",
                                static_cast<int64_t>(proto::kMaxSeconds));
          },
          "seconds", ""};
}

CLI::Validator NotEmpty() {
  return {[](const std::string& text) {
            return text.empty() ? "\"\" names nothing; give it a value, or leave it out" : "";
          },
          "", ""};
}

void AddSource(CLI::App* command, OperatorSource& source) {
  command->add_option("file", source.file,
                      "job file (YAML), e.g. examples/resnet18.yaml, or model (ONNX)");
  command->add_option("--op", source.words,
                      "one operator instead: matmul m=512 n=512 k=512 (see `tessera operators`)");
}

void AddExtents(CLI::App* command, OperatorSource& source) {
  command
      ->add_option(
          "--dim", source.dimensions,
          "of a model: extent of a dimension that it names, batch=1, or, to tune or build it, "
          "several, sequence=64,128; repeatable")
      ->allow_extra_args(false);
  command
      ->add_option("--shape", source.shapes,
                   "of a model: shape of an input, image=1,3,224,224; repeatable")
      ->allow_extra_args(false);
  command
      ->add_option("--value", source.values,
                   "of a model: an input that is no input any more but known, rate=16000; "
                   "repeatable")
      ->allow_extra_args(false);
  command->add_flag("--backward", source.backward,
                    "of a model: what computes the gradients of its weights instead");
  CLI::Option* const int8 =
      command
          ->add_option(
              "--int8", source.int8.samples,
              "of a model: its products in i8, by the ranges on the samples in this folder: "
              ".npy or raw, one file each, or a folder with one file an input")
          ->check(NotEmpty());
  command->add_option("--ranges", source.int8.ranges, "largest, percentile or entropy")
      ->check(CLI::IsMember({"largest", "percentile", "entropy"}))
      ->capture_default_str()
      ->needs(int8);
  command
      ->add_flag("--float-first", source.int8.float_first,
                 "products with no other before stay floats")
      ->needs(int8);
  command
      ->add_flag("--float-last", source.int8.float_last,
                 "products with no other behind stay floats")
      ->needs(int8);
  command->add_option("--float", source.int8.keep, "product that stays one of floats; repeatable")
      ->allow_extra_args(false)
      ->needs(int8);
}

void AddLayouts(CLI::App* command, OperatorSource& source) {
  command
      ->add_option("--layouts", source.layouts,
                   "of a model: values are stored as for this target, x86/avx512, whatever the "
                   "target is: what is tuned for several so fits into one library")
      ->check(NotEmpty());
}

void AddAlone(CLI::App* command, bool& alone) {
  command->add_flag(
      "--alone", alone,
      "of a model: with the programs that are fastest alone; default: with those that "
      "are fastest in the model, which a device then measures");
}

void AddServer(CLI::App* command, std::string& server, const std::string& help) {
  command->add_option("--server", server, help)->envname("TESSERA_SERVER")->capture_default_str();
}

void AddAllow(CLI::App* command, std::string& allow, const std::string& help) {
  const CLI::Validator names(
      [](std::string& text) {
        absl::StatusOr<std::string> allowed = ParseAllowed(text);
        if (!allowed.ok()) {
          return std::string(absl::StripPrefix(allowed.status().message(), "allow: "));
        }
        text = *std::move(allowed);
        return std::string();
      },
      "");
  command->add_option("--allow", allow, help)->transform(names);
}

}  // namespace tessera::cli
