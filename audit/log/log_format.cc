#include "audit/log/log_format.h"

#include <algorithm>
#include <optional>

#include "audit/log/signed_head.h"
#include "plan/plan_json.h"

namespace sotto::audit {
namespace {

// --- bytes ----------------------------------------------------------------------------------------------------------------

void put(ByteWriter& out, std::uint64_t v) { out.u64(v); }
void put(ByteWriter& out, double v) { out.f64(v); }
void put(ByteWriter& out, const std::string& v) { out.text(v); }
void put(ByteWriter& out, const Bytes& v) { out.bytes(v); }
void put(ByteWriter& out, const RunId& v) { out.text(v.value()); }
void put(ByteWriter& out, RoundId v) { out.u32(v.value()); }
void put(ByteWriter& out, AttemptId v) { out.u32(v.value()); }
void put(ByteWriter& out, SiteIndex v) { out.u32(v.value()); }
void put(ByteWriter& out, const privacy::DpEvent& v) { out.bytes(privacy::encode(v)); }
void put(ByteWriter& out, const CohortMember& v) { out.u32(v.site.value()).raw(v.keys).raw(v.share_hashes); }
template <std::size_t N>
void put(ByteWriter& out, const std::array<std::uint8_t, N>& v) {
  out.raw(v);
}
template <class T>
void put(ByteWriter& out, const std::vector<T>& v) {
  out.u32(static_cast<std::uint32_t>(v.size()));
  for (const T& item : v) put(out, item);
}

template <class T>
struct As {};  // chooses an overload of get by the wanted type

std::uint64_t get(ByteReader& in, As<std::uint64_t>) { return in.u64(); }
double get(ByteReader& in, As<double>) { return in.f64(); }
std::string get(ByteReader& in, As<std::string>) { return in.text(); }
Bytes get(ByteReader& in, As<Bytes>) { return in.bytes(); }
RunId get(ByteReader& in, As<RunId>) { return RunId(in.text()); }
RoundId get(ByteReader& in, As<RoundId>) { return RoundId(in.u32()); }
AttemptId get(ByteReader& in, As<AttemptId>) { return AttemptId(in.u32()); }
SiteIndex get(ByteReader& in, As<SiteIndex>) { return SiteIndex(in.u32()); }
CohortMember get(ByteReader& in, As<CohortMember>) {
  CohortMember p;
  p.site = SiteIndex(in.u32());
  p.keys = in.digest();
  p.share_hashes = in.digest();
  return p;
}
template <std::size_t N>
std::array<std::uint8_t, N> get(ByteReader& in, As<std::array<std::uint8_t, N>>) {
  std::array<std::uint8_t, N> out{};
  const Bytes bytes = in.raw(N);
  if (bytes.size() == N) std::copy(bytes.begin(), bytes.end(), out.begin());
  return out;
}

// Smallest encodings, so that a count is refused before memory is taken for it.
constexpr std::size_t min_size(As<SiteIndex>) { return 4; }
constexpr std::size_t min_size(As<CohortMember>) { return 68; }
constexpr std::size_t min_size(As<privacy::DpEvent>) { return 4; }

template <class T>
Result<T> read(ByteReader& in, As<T> as) {
  return get(in, as);
}
Result<privacy::DpEvent> read(ByteReader& in, As<privacy::DpEvent>) {
  const Bytes bytes = in.bytes();
  if (!in.ok()) return invalid("the event ends too early");
  return privacy::decode_event(bytes);
}
template <class T>
  requires(!std::is_same_v<T, std::uint8_t>)
Result<std::vector<T>> read(ByteReader& in, As<std::vector<T>>) {
  std::vector<T> out;
  const std::uint32_t count = in.count(min_size(As<T>{}));
  for (std::uint32_t i = 0; i < count && in.ok(); ++i) {
    SOTTO_TRY(auto item, read(in, As<T>{}));
    out.push_back(std::move(item));
  }
  return out;
}

template <class E>
Bytes encode_fields(const E& event) {
  ByteWriter out;
  std::apply([&](const auto&... field) { (put(out, event.*field.member), ...); }, E::fields());
  return out.take();
}

template <class E>
Result<Event> decode_as(ByteSpan payload) {
  ByteReader in(payload);
  E event;
  std::optional<Error> error;
  const auto read_field = [&](const auto& field) {
    if (error) return;
    auto value = read(in, As<std::remove_reference_t<decltype(event.*field.member)>>{});
    if (value.ok()) {
      event.*field.member = std::move(value).value();
    } else {
      error = invalid(std::string(E::kName) + ", field '" + field.name + "': " + value.error().message);
    }
  };
  std::apply([&](const auto&... field) { (read_field(field), ...); }, E::fields());
  if (error) return *error;
  SOTTO_TRY_VOID(in.finish(E::kName));
  const Bytes again = encode_fields(event);
  if (!std::equal(again.begin(), again.end(), payload.begin(), payload.end())) {
    return invalid(std::string(E::kName) + ": not in canonical form");
  }
  return Event(std::move(event));
}

// --- JSON -----------------------------------------------------------------------------------------------------------------

Json view(std::uint64_t v) { return v; }
Json view(double v) { return v; }
Json view(const std::string& v) { return v; }
Json view(const RunId& v) { return v.value(); }
Json view(RoundId v) { return v.value(); }
Json view(AttemptId v) { return v.value(); }
Json view(SiteIndex v) { return v.value(); }
Json view(const privacy::DpEvent& v) { return privacy::to_json(v); }
Json view(const CohortMember& v) {
  return Json::object({{"site", v.site.value()}, {"keys", to_hex(v.keys)}, {"share_hashes", to_hex(v.share_hashes)}});
}
template <std::size_t N>
Json view(const std::array<std::uint8_t, N>& v) {
  return to_hex(v);
}
template <class T>
Json view(const std::vector<T>& v) {
  Json out = Json::array();
  for (const T& item : v) out.push(view(item));
  return out;
}

template <class T>
Json view_or_hex(const Result<T>& decoded, const Bytes& bytes) {
  return decoded.ok() ? to_json(decoded.value()) : Json(to_hex(bytes));
}
// Byte strings hold other structures; what they hold follows from the field's name.
Json view_bytes(std::string_view field, const Bytes& bytes) {
  if (field == "plan") return view_or_hex(decode_plan(bytes), bytes);
  if (field == "roster") return view_or_hex(decode_roster(bytes), bytes);
  if (field == "descriptor") return view_or_hex(decode_descriptor(bytes), bytes);
  if (field == "head") return view_or_hex(decode_head(bytes), bytes);
  return to_hex(bytes);
}

template <class E, class Member>
Json view_field(const E& event, const Field<E, Member>& field) {
  if constexpr (std::is_same_v<Member, Bytes>) {
    return view_bytes(field.name, event.*field.member);
  } else {
    return view(event.*field.member);
  }
}

// --- every alternative of Event -------------------------------------------------------------------------------------------

// Calls found(Type) for the alternative with this number; false when there is none.
template <class Found, std::size_t I = 0>
bool with_type(EventType type, Found&& found) {
  if constexpr (I == std::variant_size_v<Event>) {
    return false;
  } else {
    using E = std::variant_alternative_t<I, Event>;
    if (E::kType != type) return with_type<Found, I + 1>(type, std::forward<Found>(found));
    found(As<E>{});
    return true;
  }
}

constexpr auto kFirstShared = EventType::kAttemptClosed;
constexpr auto kFirstCoordinator = EventType::kCoordinatorCreated;
constexpr auto kFirstRegistry = EventType::kRegistryCreated;

}  // namespace

EventType type_of(const Event& event) {
  return std::visit([](const auto& e) { return e.kType; }, event);
}

const char* name_of(EventType type) {
  const char* name = nullptr;
  with_type(type, [&]<class E>(As<E>) { name = E::kName; });
  return name;
}

bool may_stand_in_site_log(EventType type) {
  return name_of(type) && type < kFirstCoordinator && type != EventType::kAttackMeasured;  // that one only sealed
}
bool may_stand_in_coordinator_log(EventType type) { return name_of(type) && type >= kFirstShared && type < kFirstRegistry; }

Bytes encode(const Event& event) {
  return std::visit([](const auto& e) { return encode_fields(e); }, event);
}

Result<Event> decode_event(EventType type, ByteSpan payload) {
  std::optional<Result<Event>> out;
  with_type(type, [&]<class E>(As<E>) { out = decode_as<E>(payload); });
  if (!out) return unsupported("event type " + std::to_string(static_cast<unsigned>(type)) + " is not in this version");
  return std::move(*out);
}

Json to_json(const Event& event) {
  return std::visit(
      [](const auto& e) {
        Json out = Json::object();
        std::apply([&](const auto&... field) { (out.set(field.name, view_field(e, field)), ...); }, e.fields());
        return out;
      },
      event);
}

}  // namespace sotto::audit
