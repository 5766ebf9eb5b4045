# cmake -DOUTPUT=x.cc -DHEADER=app/report_assets.h -DNAMES=ReportPage+ReportStyle -DReportPage=page.html ... -P EmbedFiles.cmake
# Writes a source in which every name is a function that returns the bytes of its file.
cmake_minimum_required(VERSION 3.22)
string(REPLACE "+" ";" names "${NAMES}")
set(text "#include \"${HEADER}\"\n\nnamespace modelslim {\n")
foreach(name IN LISTS names)
  file(READ "${${name}}" hex HEX)
  string(REGEX REPLACE "(..)" "0x\\1," bytes "${hex}")
  string(APPEND text "namespace {\nconst unsigned char k${name}[] = {${bytes}0};\n}  // namespace\n"
    "std::string_view ${name}() { return {reinterpret_cast<const char*>(k${name}), sizeof(k${name}) - 1}; }\n")
endforeach()
string(APPEND text "}  // namespace modelslim\n")
file(WRITE "${OUTPUT}" "${text}")
