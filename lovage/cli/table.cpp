#include <lovage/cli/table.hpp>

#include <lovage/core/error.hpp>
#include <lovage/runtime/detail/printable.hpp>

#include <algorithm>
#include <utility>

#include <fmt/core.h>

namespace lovage::cli {

namespace {

/// Characters of valid UTF-8; wide ones count as one, which is near enough for names.
std::size_t width_of(std::string_view text) {
    return static_cast<std::size_t>(std::ranges::count_if(
        text, [](char c) { return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U; }));
}

}  // namespace

Table::Table(std::vector<Column> columns) : columns_{std::move(columns)} {}

void Table::add_row(std::vector<std::string> cells) {
    LOVAGE_ASSERT(cells.size() == columns_.size());
    for (std::string& cell : cells) cell = lovage::detail::printable_line(cell);
    rows_.push_back(std::move(cells));
}

std::string Table::text() const {
    std::vector<std::string> titles;
    std::vector<std::size_t> widths;
    for (std::size_t i = 0; i < columns_.size(); ++i) {
        titles.push_back(columns_[i].title);
        widths.push_back(width_of(columns_[i].title));
        for (const auto& row : rows_) widths[i] = std::max(widths[i], width_of(row[i]));
    }
    std::string text;
    const auto append_line = [&](const std::vector<std::string>& cells) {
        std::string line;
        for (std::size_t i = 0; i < cells.size(); ++i) {
            const std::string padding(widths[i] - width_of(cells[i]), ' ');
            const bool right = columns_[i].align == Align::right;
            if (i > 0) line += "  ";
            line += right ? padding + cells[i] : cells[i] + padding;
        }
        line.erase(line.find_last_not_of(' ') + 1);
        text += line + '\n';
    };
    append_line(titles);
    for (const auto& row : rows_) append_line(row);
    return text;
}

std::string count_of(std::uint64_t count, std::string_view noun) {
    return fmt::format("{} {}{}", count, noun, count == 1 ? "" : "s");
}

}  // namespace lovage::cli
