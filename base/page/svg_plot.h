// A line plot as SVG: axes, ticks, one line a series, a legend. Colours differ in dash pattern too, for paper. Pure:
// the same numbers give the same text.
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace sotto {

struct PlotSeries {
  std::string name;
  std::vector<std::pair<double, double>> points;  // finite; x ascending
};

struct Plot {
  std::string title;
  std::string x_label;
  std::string y_label;
  bool x_is_exponent = false;  // x = k stands for 10^-k, and ticks say so
  std::vector<PlotSeries> series;
  bool x_is_share = false;  // x runs from 0 to 1, with ticks between
};

// For a page. Empty when no series has a point. The vertical axis starts at 0.
std::string svg_of(const Plot& plot);
// The same as a file of its own that browsers show. The vertical axis spans the values alone, so that a curve shows its course.
std::string svg_file_of(const Plot& plot);

}  // namespace sotto
