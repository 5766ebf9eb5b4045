// The parts of the report's page; made from src/app/report/ and the distribution's Chart.js when the program is built.
#pragma once

#include <string_view>

namespace modelslim {

std::string_view ReportPage();  // HTML with @CSS@, @DATA@, @CHART@ and @JS@ in it
std::string_view ReportStyle();
std::string_view ReportScript();
std::string_view ChartScript();

}  // namespace modelslim
