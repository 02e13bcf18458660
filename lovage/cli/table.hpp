#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace lovage::cli {

/// A table of text for a terminal: columns as wide as their widest cell, two blanks between them.
///
/// Cells may hold foreign text; control characters are made visible.
class Table {
public:
    enum class Align : std::uint8_t { left, right };
    struct Column {
        std::string title;
        Align align = Align::left;
    };

    explicit Table(std::vector<Column> columns);

    /// As many cells as columns.
    void add_row(std::vector<std::string> cells);
    /// Title line and rows, each with its line end.
    [[nodiscard]] std::string text() const;

private:
    std::vector<Column> columns_;
    std::vector<std::vector<std::string>> rows_;
};

/// "1 message", "2 messages".
[[nodiscard]] std::string count_of(std::uint64_t count, std::string_view noun);

}  // namespace lovage::cli
