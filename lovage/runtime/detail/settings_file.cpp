#include <lovage/runtime/detail/settings_file.hpp>

#include <toml++/toml.h>

#include <algorithm>
#include <optional>
#include <utility>

namespace lovage::detail {

namespace {

/// Thrown for a value that has no JSON form and caught in parse_settings_file().
struct Unsupported {
    toml::source_position where;
};

/// toml++ sorts a table's members by name; routes are tried in the order written, so that is
/// restored.
std::vector<std::pair<const toml::key*, const toml::node*>> in_written_order(
    const toml::table& table) {
    std::vector<std::pair<const toml::key*, const toml::node*>> members;
    for (const auto& [key, node] : table) members.emplace_back(&key, &node);
    std::ranges::sort(members, [](const auto& left, const auto& right) {
        return left.first->source().begin < right.first->source().begin;
    });
    return members;
}

Json to_json(const toml::node& node) {
    if (const auto* text = node.as_string()) return Json{text->get()};
    if (const auto* flag = node.as_boolean()) return Json{flag->get()};
    if (const auto* number = node.as_integer()) return Json{number->get()};
    if (const auto* number = node.as_floating_point()) return Json{number->get()};
    if (const auto* items = node.as_array()) {
        Json list = Json::array();
        for (const toml::node& item : *items) list.push_back(to_json(item));
        return list;
    }
    if (const auto* table = node.as_table()) {
        Json object = Json::object();
        for (const auto& [key, member] : in_written_order(*table)) {
            object.set(key->str(), to_json(*member));
        }
        return object;
    }
    throw Unsupported{node.source().begin};
}

std::unexpected<Error> refuse(const SettingsFile& file, toml::source_position where,
                              std::string_view why) {
    return fail(Errc::malformed, fmt::format("{}:{}: {}", file.name, where.line, why));
}

}  // namespace

Result<std::vector<FileEntry>> parse_settings_file(const SettingsFile& file) {
    try {
        const toml::table root = toml::parse(file.text, file.name);
        std::vector<FileEntry> entries;
        for (const auto& [key, node] : in_written_order(root)) {
            entries.push_back({std::string{key->str()}, to_json(*node), key->source().begin.line});
        }
        return entries;
    } catch (const toml::parse_error& error) {
        return refuse(file, error.source().begin, error.description());
    } catch (const Unsupported& value) {
        return refuse(file, value.where, "no setting takes a date or a time");
    }
}

}  // namespace lovage::detail
