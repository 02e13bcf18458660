#pragma once

#include <charconv>
#include <concepts>
#include <cstddef>
#include <initializer_list>
#include <limits>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace lovage::redis {

/// A Lua script that the server keeps by its SHA-1. Immutable; copies are cheap.
class Script {
public:
    explicit Script(std::string body);
    [[nodiscard]] const std::string& body() const noexcept { return data_->body; }
    /// 40 lower-case hexadecimal digits.
    [[nodiscard]] const std::string& sha() const noexcept { return data_->sha; }

private:
    struct Data {
        std::string body;
        std::string sha;
    };
    std::shared_ptr<const Data> data_;
};

/// Commands that go out together, in the form the server reads (arrays of bulk strings only, so
/// that no argument can be taken for a command).
class Commands {
public:
    Commands() = default;
    /// One command.
    Commands(std::initializer_list<std::string_view> words) { add(words); }

    void add(std::span<const std::string_view> words);
    void add(std::initializer_list<std::string_view> words) {
        add(std::span{words.begin(), words.size()});
    }
    /// Runs `script` by its SHA-1; Client::run() loads it when the server does not know it. Scripts
    /// of one batch must be the same.
    void add_script(const Script& script, std::span<const std::string_view> keys,
                    std::span<const std::string_view> arguments);
    void add_script(const Script& script, std::initializer_list<std::string_view> keys,
                    std::initializer_list<std::string_view> arguments) {
        add_script(script, std::span{keys.begin(), keys.size()},
                   std::span{arguments.begin(), arguments.size()});
    }
    void reserve(std::size_t commands, std::size_t bytes);

    [[nodiscard]] std::size_t size() const noexcept { return starts_.size(); }
    [[nodiscard]] bool empty() const noexcept { return starts_.empty(); }
    /// All commands, as sent.
    [[nodiscard]] const std::string& wire() const noexcept { return wire_; }
    /// One command, as sent.
    [[nodiscard]] std::string_view wire(std::size_t index) const;
    /// The script used, or nullptr.
    [[nodiscard]] const Script* script() const noexcept { return script_.get(); }
    /// Appends a command of another batch.
    void append(const Commands& other, std::size_t index);

private:
    void begin(std::size_t words);
    void word(std::string_view text);

    std::string wire_;
    std::vector<std::size_t> starts_;
    std::shared_ptr<const Script> script_;
};

/// A number as an argument.
class Number {
public:
    explicit Number(std::integral auto value) noexcept {
        const auto done = std::to_chars(text_, text_ + sizeof text_, value);
        size_ = static_cast<std::size_t>(done.ptr - text_);
    }
    // NOLINTNEXTLINE(google-explicit-constructor): stands among texts in lists of words.
    operator std::string_view() const noexcept { return {text_, size_}; }

private:
    char text_[24];
    std::size_t size_;
};

}  // namespace lovage::redis
