# Writes OUT, the source of Version() (base/version.h): RELEASE and a digest of the sources in CODE.
file(GLOB_RECURSE files LIST_DIRECTORIES false RELATIVE ${CODE} ${CODE}/*.cc ${CODE}/*.c ${CODE}/*.h)
list(SORT files)
set(all "")
foreach(file IN LISTS files)
  file(SHA256 ${CODE}/${file} digest)
  string(APPEND all "${digest} ${file}\n")
endforeach()
string(SHA256 digest "${all}")
string(SUBSTRING ${digest} 0 12 digest)
file(WRITE ${OUT} "#include \"base/version.h\"

namespace tessera {

std::string_view Version() { return \"${RELEASE}+${digest}\"; }

}  // namespace tessera
")
