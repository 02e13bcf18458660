#pragma once

#include <lovage/cli/arguments.hpp>

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace CLI {
class App;
}

namespace lovage::cli {

/// The commands with their options, as a parser, and what makes a Command from what was written.
///
/// A parser keeps what it read, so a grammar serves for one command line.
class Grammar {
public:
    /// `program` is how usage lines call it.
    explicit Grammar(const std::string& program);
    ~Grammar();
    Grammar(const Grammar&) = delete;
    Grammar& operator=(const Grammar&) = delete;

    [[nodiscard]] CLI::App& parser() noexcept { return *parser_; }

    /// What was parsed. `chosen` is the innermost sub-command that was named; nothing when none
    /// was, or one that needs another word. Throws UsageError.
    [[nodiscard]] std::optional<Invocation> build(const CLI::App& chosen) const;
    /// All commands in the order of `--help`, the options of all of them first, under no name.
    [[nodiscard]] std::vector<CommandReference> describe() const;

private:
    struct Texts;
    struct Entry;
    class Builder;

    std::unique_ptr<Texts> texts_;
    std::unique_ptr<CLI::App> parser_;
    std::vector<Entry> entries_;
};

/// The words that chose `command`: "quarantine list"; empty for the program itself.
[[nodiscard]] std::string full_name(const CLI::App& command);

}  // namespace lovage::cli
