#include "wire/invite.h"

#include "crypto/hash.h"

namespace sotto::wire {
namespace {

constexpr std::string_view kPrefix = "sotto1-";
constexpr std::string_view kAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
constexpr std::size_t kCheckBytes = 4;
constexpr std::size_t kMaxCode = 1024;

std::string base64url(ByteSpan bytes) {
  std::string out;
  std::uint32_t bits = 0;
  int held = 0;
  for (const std::uint8_t byte : bytes) {
    bits = bits << 8 | byte;
    for (held += 8; held >= 6; held -= 6) out += kAlphabet[bits >> (held - 6) & 63];
  }
  if (held > 0) out += kAlphabet[bits << (6 - held) & 63];
  return out;
}

std::optional<Bytes> from_base64url(std::string_view text) {
  Bytes out;
  std::uint32_t bits = 0;
  int held = 0;
  for (const char c : text) {
    const auto digit = kAlphabet.find(c);
    if (digit == std::string_view::npos) return std::nullopt;
    bits = bits << 6 | static_cast<std::uint32_t>(digit);
    held += 6;
    if (held < 8) continue;
    held -= 8;
    out.push_back(static_cast<std::uint8_t>(bits >> held));
  }
  if (held >= 6 || (bits & ((1u << held) - 1)) != 0) return std::nullopt;  // one text for one value
  return out;
}

std::string_view trimmed(std::string_view text) {
  const auto first = text.find_first_not_of(" \t\r\n");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t\r\n") - first + 1);
}

template <std::size_t N>
std::array<std::uint8_t, N> fixed(ByteReader& in) {
  std::array<std::uint8_t, N> out{};
  const Bytes bytes = in.raw(N);
  if (bytes.size() == N) std::copy(bytes.begin(), bytes.end(), out.begin());
  return out;
}

}  // namespace

std::string to_code(const Invite& invite) {
  ByteWriter out;
  out.text(invite.site.value()).text(invite.endpoint).raw(invite.transport).raw(invite.identity).raw(invite.token);
  const Digest check = crypto::sha256(out.view());
  out.raw(ByteSpan(check).first(kCheckBytes));
  return std::string(kPrefix) + base64url(out.view());
}

Result<Invite> parse_code(std::string_view code) {
  const auto text = trimmed(code);
  if (!text.starts_with(kPrefix) || text.size() > kMaxCode)
    return invalid("this is not an invite code: it must start with '" + std::string(kPrefix) +
                   "' and be the whole line that 'sotto-coordinator invite' printed");
  const Error damaged =
      invalid("the invite code was cut or mistyped: copy the whole line that 'sotto-coordinator invite' printed");
  const auto bytes = from_base64url(text.substr(kPrefix.size()));
  if (!bytes || bytes->size() <= kCheckBytes) return damaged;
  const auto body = ByteSpan(*bytes).first(bytes->size() - kCheckBytes);
  const Digest check = crypto::sha256(body);
  if (!std::equal(check.begin(), check.begin() + kCheckBytes, bytes->end() - kCheckBytes)) return damaged;
  ByteReader in(body);
  Invite invite;
  invite.site = SiteName(in.text());
  invite.endpoint = in.text();
  invite.transport = fixed<32>(in);
  invite.identity = fixed<32>(in);
  invite.token = fixed<16>(in);
  SOTTO_TRY_VOID(in.finish("invite code"));
  if (!is_valid_name(invite.site.value())) return invalid("the invite code names no valid site; ask for a new one");
  return invite;
}

}  // namespace sotto::wire
