#include "base/page/svg_plot.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <limits>

#include "base/page/html.h"

namespace sotto {
namespace {

constexpr double kWidth = 640;
constexpr double kHeight = 330;
constexpr double kLeft = 60;
constexpr double kRight = 20;
constexpr double kTop = 34;
constexpr double kBottom = 62;

struct Stroke {
  const char* colour;
  const char* dash;
};
constexpr std::array<Stroke, 6> kStrokes = {{{"#1f5f8b", "none"},
                                             {"#b3541e", "7 3"},
                                             {"#3f7d3a", "2 3"},
                                             {"#7b3f8c", "9 3 2 3"},
                                             {"#8a6d00", "4 2"},
                                             {"#555555", "1 2"}}};

std::string fixed(double v, int digits = 1) {
  char text[40];
  std::snprintf(text, sizeof text, "%.*f", digits, v);
  return text;
}

struct Axes {
  double x_min = 0;
  double x_max = 1;
  double y_min = 0;
  double y_max = 1;
  double x(double v) const { return kLeft + (v - x_min) / (x_max - x_min) * (kWidth - kLeft - kRight); }
  double y(double v) const { return kHeight - kBottom - (v - y_min) / (y_max - y_min) * (kHeight - kTop - kBottom); }
};

// 1, 2 or 5 times a power of ten, so that about `count` steps cover `range`.
double tick_step(double range, int count) {
  const double raw = range / count;
  const double power = std::pow(10.0, std::floor(std::log10(raw)));
  for (const double factor : {1.0, 2.0, 5.0}) {
    if (raw <= factor * power) return factor * power;
  }
  return 10 * power;
}

enum class Vertical { kFromZero, kSpansValues };

Axes axes_of(const Plot& plot, Vertical vertical) {
  Axes axes;
  bool first = true;
  double top = 0;
  double bottom = std::numeric_limits<double>::infinity();
  for (const auto& series : plot.series) {
    for (const auto& [x, y] : series.points) {
      axes.x_min = first ? x : std::min(axes.x_min, x);
      axes.x_max = first ? x : std::max(axes.x_max, x);
      top = std::max(top, y);
      bottom = std::min(bottom, y);
      first = false;
    }
  }
  if (axes.x_max - axes.x_min < 1e-9) axes.x_max = axes.x_min + 1;
  if (vertical == Vertical::kSpansValues && bottom < top) {
    const double step = tick_step(top - bottom, 5);
    axes.y_min = std::floor(bottom / step) * step;
    axes.y_max = std::ceil(top / step) * step;
    return axes;
  }
  const double step = tick_step(std::max(top, 1e-3), 5);
  axes.y_max = std::ceil(std::max(top, 1e-3) / step) * step;
  return axes;
}

std::string text_at(double x, double y, const std::string& anchor, const std::string& text) {
  return "<text x=\"" + fixed(x) + "\" y=\"" + fixed(y) + "\" text-anchor=\"" + anchor + "\">" + text + "</text>\n";
}

std::string line(double x1, double y1, double x2, double y2, const std::string& style) {
  return "<line x1=\"" + fixed(x1) + "\" y1=\"" + fixed(y1) + "\" x2=\"" + fixed(x2) + "\" y2=\"" + fixed(y2) + "\" " +
         style + "/>\n";
}

std::string frame(const Plot& plot, const Axes& axes) {
  std::string out;
  const double y_step = tick_step(axes.y_max - axes.y_min, 5);
  const int y_digits = y_step < 0.001 ? 5 : y_step < 0.1 ? 3 : y_step < 1 ? 1 : 0;
  for (int i = 0; axes.y_min + i * y_step <= axes.y_max + 1e-4 * y_step; ++i) {
    const double v = axes.y_min + i * y_step;
    out += line(kLeft, axes.y(v), kWidth - kRight, axes.y(v), i == 0 ? "stroke=\"#333\"" : "stroke=\"#ddd\"");
    out += text_at(kLeft - 6, axes.y(v) + 4, "end", fixed(v, y_digits));
  }
  const double x_step = plot.x_is_share ? 0.2 : std::max(1.0, tick_step(axes.x_max - axes.x_min, 8));
  // NOLINTNEXTLINE(cert-flp30-c): some ten ticks, and a tick too many or too few would show
  for (double v = std::ceil(axes.x_min / x_step) * x_step; v <= axes.x_max + 1e-9; v += x_step) {
    out += line(axes.x(v), kHeight - kBottom, axes.x(v), kHeight - kBottom + 5, "stroke=\"#333\"");
    out += text_at(axes.x(v), kHeight - kBottom + 18, "middle",
                   plot.x_is_exponent ? "1e-" + fixed(v, 0) : fixed(v, plot.x_is_share ? 1 : 0));
  }
  out += text_at((kLeft + kWidth - kRight) / 2, kHeight - kBottom + 35, "middle", escape_html(plot.x_label));
  out += "<text transform=\"translate(14," + fixed((kTop + kHeight - kBottom) / 2) +
         ") rotate(-90)\" text-anchor=\"middle\">" + escape_html(plot.y_label) + "</text>\n";
  return out + text_at(kLeft, 18, "start", "<tspan font-weight=\"bold\">" + escape_html(plot.title) + "</tspan>");
}

std::string drawn(const PlotSeries& series, const Axes& axes, const Stroke& stroke) {
  std::string points;
  std::string dots;
  for (const auto& [x, y] : series.points) {
    points += (points.empty() ? "" : " ") + fixed(axes.x(x)) + "," + fixed(axes.y(y));
    dots += "<circle cx=\"" + fixed(axes.x(x)) + "\" cy=\"" + fixed(axes.y(y)) + "\" r=\"2.2\" fill=\"" + stroke.colour +
            "\"/>\n";
  }
  return "<polyline fill=\"none\" stroke=\"" + std::string(stroke.colour) + "\" stroke-width=\"1.8\" stroke-dasharray=\"" +
         stroke.dash + "\" points=\"" + points + "\"/>\n" + dots;
}

std::string drawing(const Plot& plot, Vertical vertical, const std::string& attributes) {
  const bool empty = std::all_of(plot.series.begin(), plot.series.end(), [](const auto& s) { return s.points.empty(); });
  if (empty) return "";
  const Axes axes = axes_of(plot, vertical);
  std::string out = "<svg " + attributes + "viewBox=\"0 0 " + fixed(kWidth, 0) + " " + fixed(kHeight, 0) +
                    "\" role=\"img\" font-size=\"12\" font-family=\"sans-serif\" fill=\"#222\">\n<title>" +
                    escape_html(plot.title) + "</title>\n" + frame(plot, axes);
  double legend_x = kLeft;
  for (std::size_t i = 0; i < plot.series.size(); ++i) {
    const Stroke& stroke = kStrokes[i % kStrokes.size()];
    const std::string& name = plot.series[i].name;
    out += drawn(plot.series[i], axes, stroke);
    if (legend_x > kWidth - 80) continue;  // many sites: the table beside the plot names the rest
    out +=
        line(legend_x, kHeight - 12, legend_x + 26, kHeight - 12,
             std::string("stroke-width=\"1.8\" stroke=\"") + stroke.colour + "\" stroke-dasharray=\"" + stroke.dash + "\"");
    out += text_at(legend_x + 31, kHeight - 8, "start", escape_html(name));
    legend_x += 50 + 7.2 * static_cast<double>(name.size());
  }
  return out + "</svg>\n";
}

}  // namespace

std::string svg_of(const Plot& plot) { return drawing(plot, Vertical::kFromZero, ""); }

std::string svg_file_of(const Plot& plot) {
  return drawing(
      plot, Vertical::kSpansValues,
      "xmlns=\"http://www.w3.org/2000/svg\" width=\"" + fixed(kWidth, 0) + "\" height=\"" + fixed(kHeight, 0) + "\" ");
}

}  // namespace sotto
