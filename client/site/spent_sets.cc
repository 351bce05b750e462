#include "client/site/spent_sets.h"

#include <algorithm>
#include <map>
#include <set>

namespace sotto::client {
namespace {

using Events = std::vector<privacy::DpEvent>;

struct Item {
  Events events;  // each with count 1 where steps add up
  std::uint64_t count = 0;
};

// The items of a list in the order in which they first stand there.
class Counted {
 public:
  explicit Counted(const Events& events) {
    for (std::size_t i = 0; i < events.size();) {
      const auto& trials = events[i].trials;
      const bool selects = trials.kind != privacy::TrialsKind::kNone;
      const std::size_t size = selects ? std::clamp<std::size_t>(trials.choices, 1, events.size() - i) : 1;
      Events item(events.begin() + static_cast<std::ptrdiff_t>(i), events.begin() + static_cast<std::ptrdiff_t>(i + size));
      const std::uint64_t count = selects ? 1 : item.front().count;
      if (!selects) item.front().count = 1;
      at(item).count += count;
      i += size;
    }
  }

  std::uint64_t count_of(const Events& item) const {
    const auto found = places_.find(key_of(item));
    return found == places_.end() ? 0 : items_[found->second].count;
  }
  Item& at(const Events& item) {
    const auto [place, fresh] = places_.try_emplace(key_of(item), items_.size());
    if (fresh) items_.push_back({item, 0});
    return items_[place->second];
  }
  const std::vector<Item>& items() const { return items_; }

  Events list() const {
    Events out;
    std::set<Bytes> told;  // epochs and runs
    for (const Item& item : items_) {
      if (item.count == 0) continue;
      if (is_step_of_more(item.events.front())) {
        if (told.insert(whole_of(item.events.front())).second) add_steps(out, whole_of(item.events.front()));
        continue;
      }
      if (item.events.front().trials.kind == privacy::TrialsKind::kNone) {
        out.push_back(item.events.front());
        out.back().count = item.count;
        continue;
      }
      for (std::uint64_t i = 0; i < item.count; ++i) out.insert(out.end(), item.events.begin(), item.events.end());
    }
    return out;
  }

 private:
  // A step of an epoch or of a run is accounted with its fellows, in their order, and never stands for several.
  static bool is_step_of_more(const privacy::DpEvent& event) { return event.epoch_step > 0 || event.run_step > 0; }
  static Bytes whole_of(privacy::DpEvent event) {
    event.epoch_step = std::min<std::uint64_t>(event.epoch_step, 1);
    event.run_step = std::min<std::uint64_t>(event.run_step, 1);
    return privacy::encode(event);
  }
  // The first of each step in order, then the second of each, and so on: epochs as they ran.
  void add_steps(Events& out, const Bytes& whole) const {
    std::map<std::uint64_t, const Item*> steps;
    std::uint64_t most = 0;
    for (const Item& item : items_) {
      const auto& event = item.events.front();
      if (item.count == 0 || !is_step_of_more(event) || whole_of(event) != whole) continue;
      steps[event.epoch_step + event.run_step] = &item;
      most = std::max(most, item.count);
    }
    for (std::uint64_t copy = 0; copy < most; ++copy)
      for (const auto& [step, item] : steps)
        if (item->count > copy) out.push_back(item->events.front());
  }
  static Bytes key_of(const Events& item) {
    ByteWriter out;
    for (const auto& event : item) out.bytes(privacy::encode(event));
    return out.take();
  }
  std::vector<Item> items_;
  std::map<Bytes, std::size_t> places_;
};

Events joined(const Events& a, const Events& b) {
  Counted out(b);
  const Counted more(a);
  for (const Item& item : more.items()) {
    Item& known = out.at(item.events);
    known.count = std::max(known.count, item.count);
  }
  return out.list();
}

Events beyond(const Events& a, const Events& b) {
  Counted out(a);
  const Counted all(a), less(b);
  for (const Item& item : all.items()) {
    out.at(item.events).count = item.count - std::min(item.count, less.count_of(item.events));
  }
  return out.list();
}

}  // namespace

audit::Spent joined(const audit::Spent& a, const audit::Spent& b) {
  return {joined(a.events, b.events), joined(a.own_share, b.own_share), a.without_privacy || b.without_privacy};
}

audit::Spent beyond(const audit::Spent& a, const audit::Spent& b) {
  return {beyond(a.events, b.events), beyond(a.own_share, b.own_share), a.without_privacy && !b.without_privacy};
}

bool is_nothing(const audit::Spent& spent) {
  return spent.events.empty() && spent.own_share.empty() && !spent.without_privacy;
}

}  // namespace sotto::client
