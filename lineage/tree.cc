#include "lineage/tree.h"

#include <algorithm>

#include "base/page/html.h"

namespace sotto::lineage {
namespace {

std::vector<const Model*> children_of(const ModelRegistry& registry, const std::optional<Digest>& parent,
                                      const Digest& base) {
  std::vector<const Model*> out;
  for (const auto& m : registry.models())
    if (m.passport.parent == parent && (parent || m.passport.base == base)) out.push_back(&m);
  return out;
}

std::vector<Digest> bases_of(const ModelRegistry& registry) {
  std::vector<Digest> out;
  for (const auto& m : registry.models())
    if (std::ranges::find(out, m.passport.base) == out.end()) out.push_back(m.passport.base);
  return out;
}

bool is_in_use(const ModelRegistry& registry, const Model& m) { return registry.in_use(m.domain) == m.passport.model; }

const char* state_of(const ModelRegistry& registry, const Model& m) {
  if (is_in_use(registry, m)) return "in use";
  return registry.promoted_at(m.passport.model) ? "promoted before" : "not promoted";
}

std::string epsilon_of(const Model& m) { return m.passport.json.at("privacy").at("epsilon").dump(); }

Json model_json(const ModelRegistry& registry, const Model& m) {
  Json children = Json::array();
  for (const auto* child : children_of(registry, m.passport.model, m.passport.base))
    children.push(model_json(registry, *child));
  const Json& privacy = m.passport.json.at("privacy");
  return Json::object({{"model", m.passport.id()},
                       {"parent", m.passport.parent ? Json(to_hex(*m.passport.parent)) : Json()},
                       {"domain", m.domain},
                       {"run", m.passport.run},
                       {"trained", m.passport.json.at("trained")},
                       {"epsilon", privacy.at("epsilon")},
                       {"epsilon_with_earlier_runs", privacy.at("epsilon_with_earlier_runs")},
                       {"promoted", registry.promoted_at(m.passport.model).has_value()},
                       {"in_use", is_in_use(registry, m)},
                       {"children", std::move(children)}});
}

void write_lines(const ModelRegistry& registry, const std::vector<const Model*>& level, const std::string& indent,
                 std::string& out) {
  for (std::size_t i = 0; i < level.size(); ++i) {
    const Model& m = *level[i];
    const bool last = i + 1 == level.size();
    out += indent + (last ? "`-- " : "|-- ") + m.passport.short_id() + "  " + m.domain + "  run " + m.passport.run +
           "  epsilon " + epsilon_of(m) + "  " + state_of(registry, m) + "\n";
    write_lines(registry, children_of(registry, m.passport.model, m.passport.base), indent + (last ? "    " : "|   "), out);
  }
}

// --- the picture

constexpr int kBoxWidth = 250, kBoxHeight = 62, kGapX = 60, kGapY = 18, kMargin = 12;

struct Picture {
  const ModelRegistry& registry;
  std::string boxes, lines;
  int rows = 0, columns = 0;
};

int x_of(int depth) { return kMargin + depth * (kBoxWidth + kGapX); }
int y_of(double row) { return kMargin + static_cast<int>(row * (kBoxHeight + kGapY)); }

void draw_box(Picture& picture, int depth, double row, const std::vector<std::string>& text, bool thick) {
  const int x = x_of(depth), y = y_of(row);
  picture.columns = std::max(picture.columns, depth + 1);
  picture.boxes += "<rect x=\"" + std::to_string(x) + "\" y=\"" + std::to_string(y) + "\" width=\"" +
                   std::to_string(kBoxWidth) + "\" height=\"" + std::to_string(kBoxHeight) + "\" rx=\"4\" fill=\"" +
                   (thick ? "#e8f1e6" : "#ffffff") + "\" stroke=\"#1f2937\" stroke-width=\"" + (thick ? "3" : "1") +
                   "\"/>\n";
  for (std::size_t i = 0; i < text.size(); ++i)
    picture.boxes += "<text x=\"" + std::to_string(x + 10) + "\" y=\"" + std::to_string(y + 18 + 17 * static_cast<int>(i)) +
                     "\"" + (i == 0 ? " font-weight=\"bold\"" : "") + ">" + escape_html(text[i]) + "</text>\n";
}

void draw_line(Picture& picture, int depth, double from, double to) {
  const int x = x_of(depth) + kBoxWidth, y = y_of(from) + kBoxHeight / 2, y2 = y_of(to) + kBoxHeight / 2,
            half = x + kGapX / 2;
  picture.lines += "<path d=\"M" + std::to_string(x) + " " + std::to_string(y) + " H" + std::to_string(half) + " V" +
                   std::to_string(y2) + " H" + std::to_string(x + kGapX) + "\" fill=\"none\" stroke=\"#1f2937\"/>\n";
}

// Leaves take a row each; whoever has children stands at their middle. Returns the row.
double draw_model(Picture& picture, const Model& m, int depth);

double draw_level(Picture& picture, const std::vector<const Model*>& level, int depth, const std::vector<std::string>& text,
                  bool thick) {
  std::vector<double> rows;
  for (const auto* child : level) rows.push_back(draw_model(picture, *child, depth + 1));
  const double row = rows.empty() ? picture.rows++ : (rows.front() + rows.back()) / 2;
  for (const double r : rows) draw_line(picture, depth, row, r);
  draw_box(picture, depth, row, text, thick);
  return row;
}

double draw_model(Picture& picture, const Model& m, int depth) {
  const auto& registry = picture.registry;
  return draw_level(picture, children_of(registry, m.passport.model, m.passport.base), depth,
                    {m.passport.short_id() + "  " + state_of(registry, m), m.domain.substr(0, 32),
                     "run " + m.passport.run.substr(0, 18) + ", epsilon " + epsilon_of(m)},
                    is_in_use(registry, m));
}

}  // namespace

Json lineage_json(const ModelRegistry& registry) {
  Json out = Json::array();
  for (const auto& base : bases_of(registry)) {
    Json models = Json::array();
    for (const auto* m : children_of(registry, std::nullopt, base)) models.push(model_json(registry, *m));
    out.push(Json::object({{"base", to_hex(base)}, {"models", std::move(models)}}));
  }
  return out;
}

std::string lineage_text(const ModelRegistry& registry) {
  std::string out;
  for (const auto& base : bases_of(registry)) {
    out += "base " + to_hex(base).substr(0, 12) + "\n";
    write_lines(registry, children_of(registry, std::nullopt, base), "", out);
  }
  return out.empty() ? "no models yet; 'register ADAPTER' adds one\n" : out;
}

std::string lineage_svg(const ModelRegistry& registry) {
  Picture picture{registry, "", "", 0, 0};
  for (const auto& base : bases_of(registry))
    draw_level(picture, children_of(registry, std::nullopt, base), 0, {"base model", to_hex(base).substr(0, 24)}, false);
  const int width = x_of(std::max(picture.columns, 1)) - kGapX + kMargin,
            height = y_of(std::max(picture.rows, 1)) - kGapY + kMargin;
  return "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"" + std::to_string(width) + "\" height=\"" +
         std::to_string(height) + "\" viewBox=\"0 0 " + std::to_string(width) + " " + std::to_string(height) +
         "\" font-family=\"sans-serif\" font-size=\"12\" role=\"img\">\n<title>Where the models come from</title>\n" +
         picture.lines + picture.boxes + "</svg>\n";
}

}  // namespace sotto::lineage
