// Result<T>: a value or an Error. Default-constructed it is a failure (Code::unset), so forgetting
// to set one never reads as success. Errors carry a number from codes.def and detail for the
// operator; decisions branch on code or kind, never on text.
#pragma once

#include <memory>
#include <string>
#include <type_traits>
#include <utility>
#include <variant>

#include "runtime/base/assert.h"
#include "runtime/base/codes.h"

namespace taper {

// What an operator is told beside the code. Every text may be empty. `fix` empty means: use the
// table's. Values that came from outside stand here unescaped; whoever prints them escapes them.
struct ErrorDetail {
  std::string field;     // the argument, key, file or step that is wrong
  std::string expected;  // what would have been right
  std::string got;       // what was there
  std::string fix;       // how to mend it, where the table's text is too general
};

class [[nodiscard]] Error {
 public:
  explicit Error(Code code) : code_(code) {}
  Error(Code code, ErrorDetail detail)
      : code_(code), detail_(std::make_shared<const ErrorDetail>(std::move(detail))) {}

  Code code() const { return code_; }
  const ErrorDetail& detail() const;

 private:
  Code code_;
  std::shared_ptr<const ErrorDetail> detail_;  // null: no detail
};

// "E504 argument_refused: field path: expected under /var/log, got /etc/shadow. <fix>", escaped for
// a terminal and on one line.
std::string to_line(const Error& error);

struct Unit {};

template <class T>
class [[nodiscard]] Result {
  static_assert(!std::is_same_v<std::remove_cv_t<T>, Error> && !std::is_reference_v<T>);

 public:
  using value_type = T;
  Result() : v_(Error(Code::unset)) {}
  Result(Error error) : v_(std::move(error)) {}  // NOLINT(google-explicit-constructor)
  template <class U = T>
    requires(std::is_constructible_v<T, U &&> && !std::is_same_v<std::remove_cvref_t<U>, Result> &&
             !std::is_same_v<std::remove_cvref_t<U>, Error>)
  Result(U&& value)  // NOLINT(google-explicit-constructor)
      : v_(std::in_place_index<1>, std::forward<U>(value)) {}

  Result(Result&&) noexcept = default;
  Result& operator=(Result&&) noexcept = default;
  Result(const Result&) = delete;
  Result& operator=(const Result&) = delete;

  bool ok() const { return v_.index() == 1; }
  explicit operator bool() const { return ok(); }

  const Error& error() const {
    TAPER_ASSERT(!ok());
    return std::get<0>(v_);
  }
  Code code() const { return ok() ? Code::ok : std::get<0>(v_).code(); }

  T& value() & {
    TAPER_ASSERT(ok());
    return std::get<1>(v_);
  }
  const T& value() const& {
    TAPER_ASSERT(ok());
    return std::get<1>(v_);
  }
  T&& value() && {
    TAPER_ASSERT(ok());
    return std::get<1>(std::move(v_));
  }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }

 private:
  std::variant<Error, T> v_;
};

using Status = Result<Unit>;
inline Status success() { return Status(Unit{}); }

}  // namespace taper

#define TAPER_CONCAT_(a, b) a##b
#define TAPER_CONCAT(a, b) TAPER_CONCAT_(a, b)
#define TAPER_TRY_(tmp, decl, expr)                  \
  auto tmp = (expr);                                 \
  if (!tmp.ok()) return ::taper::Error(tmp.error()); \
  decl = std::move(tmp).value()

// TAPER_TRY(auto x, f()); binds the value of f() or returns its error. A declaration, not an
// expression. TAPER_CHECK(f()); only passes an error on.
#define TAPER_TRY(decl, expr) TAPER_TRY_(TAPER_CONCAT(try_, __COUNTER__), decl, expr)
#define TAPER_CHECK_(tmp, expr) \
  if (auto tmp = (expr); !tmp.ok()) return ::taper::Error(tmp.error())
#define TAPER_CHECK(expr) TAPER_CHECK_(TAPER_CONCAT(check_, __COUNTER__), expr)
