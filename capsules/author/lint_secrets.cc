#include <algorithm>
#include <array>

#include "capsules/author/each_constraint.h"
#include "capsules/author/lint.h"

namespace taper::capsules {
namespace {

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return out;
}

bool is_token_char(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
         c == '-';
}

// Names of arguments whose value is a secret in itself.
bool names_secret(std::string_view name) {
  constexpr std::array<std::string_view, 12> kWords = {
      "password", "passwd", "passphrase",    "secret",     "api_key",    "apikey",
      "api-key",  "token",  "authorization", "credential", "access_key", "private_key"};
  const std::string word = lower(name);
  return std::ranges::any_of(kWords, [&word](std::string_view secret) {
    return word == secret || word.ends_with("_" + std::string(secret)) ||
           word.ends_with("-" + std::string(secret));
  });
}

// A known mark followed by at least so many characters of a token.
struct TokenMark {
  std::string_view mark;
  std::size_t length;
};
constexpr std::array kTokens = {
    TokenMark{"AKIA", 16},    TokenMark{"ASIA", 16},  TokenMark{"ghp_", 30},
    TokenMark{"gho_", 30},    TokenMark{"ghs_", 30},  TokenMark{"github_pat_", 30},
    TokenMark{"glpat-", 16},  TokenMark{"xoxb-", 16}, TokenMark{"xoxp-", 16},
    TokenMark{"sk-", 24},     TokenMark{"AIza", 30},  TokenMark{"eyJhbGciOi", 20},
    TokenMark{"Bearer ", 16}, TokenMark{"hvs.", 20}};

bool holds_token(std::string_view text) {
  return std::ranges::any_of(kTokens, [text](const TokenMark& token) {
    for (std::size_t at = text.find(token.mark); at != text.npos;
         at = text.find(token.mark, at + 1)) {
      if (at != 0 && is_token_char(text[at - 1])) continue;
      const std::string_view rest = text.substr(at + token.mark.size());
      const auto end = std::ranges::find_if_not(rest, is_token_char);
      if (std::cmp_greater_equal(end - rest.begin(), token.length)) return true;
    }
    return false;
  });
}

bool holds_private_key(std::string_view text) {
  const std::size_t begin = text.find("-----BEGIN ");
  return begin != text.npos && text.find("PRIVATE KEY", begin) != text.npos;
}

// "password=…" and the like, with something after it.
bool holds_assignment(std::string_view text) {
  constexpr std::array<std::string_view, 8> kMarks = {
      "password=", "passwd=", "password:", "secret=", "api_key=", "apikey=", "token=", "pwd="};
  const std::string all = lower(text);
  return std::ranges::any_of(kMarks, [&all](std::string_view mark) {
    const std::size_t at = all.find(mark);
    if (at == all.npos) return false;
    const std::size_t value = at + mark.size();
    return value < all.size() && all.find_first_not_of(" \t\"'", value) != all.npos;
  });
}

// scheme://user:password@host
bool holds_url_password(std::string_view text) {
  const std::size_t scheme = text.find("://");
  if (scheme == text.npos) return false;
  const std::string_view rest = text.substr(scheme + 3);
  const std::string_view authority = rest.substr(0, rest.find_first_of("/ ?#"));
  const std::size_t at = authority.rfind('@');
  const std::size_t colon = authority.find(':');
  return at != authority.npos && colon != authority.npos && colon + 1 < at;
}

class Finder {
 public:
  explicit Finder(LintReport& report) : report_(report) {}

  void text(const std::string& path, std::string_view text) {
    if (const std::string kind = kind_of_secret(text); !kind.empty()) found(path, kind);
  }
  void value(const std::string& path, std::string_view name, const Value& value) {
    if (value.text() != nullptr) {
      const std::string kind = kind_of_secret(*value.text());
      if (!kind.empty()) {
        found(path, kind);
      } else if (names_secret(name) && !value.text()->empty()) {
        found(path, "a secret, by the argument's name");
      }
    }
    if (const Array* array = value.array()) {
      for (const Value& item : *array) this->value(path, name, item);
    }
    if (const Object* object = value.object()) {
      if (has_reference(value)) return;
      for (const auto& [key, member] : *object) this->value(path + "." + key, key, member);
    }
  }

 private:
  void found(const std::string& path, const std::string& kind) {
    report_.error(Code::source_invalid, path, "this looks like " + kind + " in clear",
                  "a capsule is readable by all who carry it: take it out, and replace the secret");
  }
  LintReport& report_;
};

void find_in_rule(const ArgRule& whole, const std::string& path, Finder& finder) {
  each_constraint(whole, [&](const ArgRule& rule, const Constraint& constraint) {
    if (const auto* equals = std::get_if<Equals>(&constraint)) {
      finder.value(path, rule.name, equals->value);
    } else if (const auto* one_of = std::get_if<OneOf>(&constraint)) {
      finder.value(path, rule.name, Value(one_of->values));
    } else if (const auto* others = std::get_if<NotOneOf>(&constraint)) {
      finder.value(path, rule.name, Value(others->values));
    } else if (const auto* prefix = std::get_if<Prefix>(&constraint)) {
      finder.text(path, prefix->text);
    } else if (const auto* suffix = std::get_if<Suffix>(&constraint)) {
      finder.text(path, suffix->text);
    }
  });
}

}  // namespace

std::string kind_of_secret(std::string_view text) {
  if (holds_private_key(text)) return "a private key";
  if (holds_token(text)) return "an access token";
  if (holds_url_password(text)) return "a URL with a password";
  if (holds_assignment(text)) return "a password";
  return "";
}

std::string secret_in_words(const std::vector<std::string>& words) {
  bool named = false;
  for (const std::string& word : words) {
    if (const std::string kind = kind_of_secret(word); !kind.empty()) return kind;
    const bool option = word.starts_with('-');
    const bool file = word.starts_with('/') || word.starts_with('@');
    if (named && !option && !file && !word.empty()) return "a secret, by the option before it";
    const std::string_view bare = std::string_view(word).substr(
        word.find_first_not_of('-') == word.npos ? 0 : word.find_first_not_of('-'));
    named = option && names_secret(bare);
  }
  return "";
}

void lint_released(const Grant& grant, const KnownTool& tool, const std::string& path,
                   LintReport& report) {
  if (tool.builtin && !grant.secrets.empty()) {
    report.error(Code::not_enforced_yet, path + ".secrets",
                 "a builtin gets no secrets: '" + tool.name + "' has no use for one",
                 "give it to the command that needs it");
    return;
  }
  if (!grant.secrets.empty() && grant.digest_kind != DigestKind::pinned) {
    report.error(Code::source_invalid, path + ".digest",
                 "a secret goes only to a tool that is pinned",
                 "write digest = \"" + (tool.digest ? tool.digest->hex() : "…") + "\"");
  }
  if (!std::ranges::is_permutation(grant.secrets, tool.secrets)) {
    std::string reads;
    for (const std::string& name : tool.secrets) reads += " " + name;
    report.error(Code::source_invalid, path + ".secrets",
                 "the tool reads other secrets than the grant gives it",
                 reads.empty() ? "its file on the node declares none (secrets = [\"…\"])"
                               : "it reads:" + reads);
  }
}

void lint_secrets(const Capsule& capsule, LintReport& report) {
  Finder finder(report);
  finder.text("capsule.purpose", capsule.purpose);
  finder.text("capsule.requester", capsule.requester);
  finder.text("capsule.agent", capsule.agent);
  for (std::size_t i = 0; i < capsule.grants.size(); ++i) {
    for (const ArgRule& rule : capsule.grants[i].args) {
      find_in_rule(rule, "grant[" + std::to_string(i) + "].args." + rule.name, finder);
    }
  }
  for (const Step& step : capsule.plan.steps) {
    const Result<Object> arguments = parse_arguments(as_bytes(step.args));
    if (!arguments) continue;
    for (const auto& [name, value] : *arguments) {
      finder.value("plan.steps." + step.id + ".args." + name, name, value);
    }
  }
}

}  // namespace taper::capsules
