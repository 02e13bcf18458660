#include <lovage/cli/remote_text.hpp>

#include <lovage/cli/table.hpp>
#include <lovage/runtime/detail/printable.hpp>
#include <lovage/runtime/detail/utf8.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <vector>

#include <fmt/core.h>

namespace lovage::cli {

namespace {

using Cells = std::vector<std::string>;
using Rows = std::vector<Cells>;

/// More of an argument list is no help in a table; `--json` has all of it.
constexpr std::size_t kCellBytesMax = 60;

/// A value as one cell: texts as they are, nothing for null, else JSON.
std::string cell(const Json* value) {
    if (value == nullptr || value->is_null()) return "";
    std::string text = value->is_string() ? value->as_string() : to_json_text(*value);
    if (text.size() <= kCellBytesMax) return text;
    constexpr std::string_view kCut = "…";
    text.resize(lovage::detail::utf8_prefix(text, kCellBytesMax - kCut.size()).size());
    return text.append(kCut);
}

/// The value at a path of names; nullptr when there is none.
const Json* at(const Json& value, std::initializer_list<std::string_view> path) {
    const Json* found = &value;
    for (const std::string_view name : path) {
        if (found != nullptr) found = found->find(name);
    }
    return found;
}

double number_of(const Json* value) {
    if (value != nullptr && value->is_real()) return value->as_real();
    if (value != nullptr && value->is_integer()) {
        return static_cast<double>(value->as_int64().value_or(0));
    }
    return 0;
}

/// "0.4 s", "12 s", "3 min 5 s", "2 h 10 min", "4 d 3 h"
std::string duration_text(double seconds) {
    if (!(seconds > 0)) seconds = 0;
    if (seconds < 10) return fmt::format("{:.1f} s", seconds);
    const auto whole = static_cast<std::int64_t>(std::min(seconds, 1e12));
    if (whole < 60) return fmt::format("{} s", whole);
    if (whole < 3600) return fmt::format("{} min {} s", whole / 60, whole % 60);
    if (whole < 86400) return fmt::format("{} h {} min", whole / 3600, whole / 60 % 60);
    return fmt::format("{} d {} h", whole / 86400, whole / 3600 % 24);
}

// What one item of a reply becomes, without the node's name. Workers are of any version and may
// leave out what they like.

Cells active_cells(const Json& task, TimePoint now) {
    const Json* const started = task.find("time_start");
    const bool known = started != nullptr && (started->is_real() || started->is_integer());
    return {cell(task.find("id")),
            cell(task.find("name")),
            cell(task.find("args")),
            cell(task.find("kwargs")),
            known ? duration_text(unix_seconds(now) - number_of(started)) : "",
            cell(task.find("worker_pid"))};
}

Cells reserved_cells(const Json& task, TimePoint /*now*/) {
    return {cell(task.find("id")), cell(task.find("name")), cell(task.find("args")),
            cell(task.find("kwargs")), cell(at(task, {"delivery_info", "routing_key"}))};
}

Cells scheduled_cells(const Json& entry, TimePoint /*now*/) {
    return {cell(entry.find("eta")), cell(at(entry, {"request", "id"})),
            cell(at(entry, {"request", "name"})), cell(at(entry, {"request", "args"})),
            cell(at(entry, {"request", "kwargs"}))};
}

/// Wire: "name" or "name [attribute=value …]".
Cells registered_cells(const Json& task, TimePoint /*now*/) {
    const std::string text = task.is_string() ? task.as_string() : to_json_text(task);
    const std::size_t bracket = text.find(" [");
    if (bracket == std::string::npos || !text.ends_with(']')) return {text, ""};
    return {text.substr(0, bracket), text.substr(bracket + 2, text.size() - bracket - 3)};
}

Cells queue_cells(const Json& queue, TimePoint /*now*/) {
    return {cell(queue.find("name")), cell(at(queue, {"exchange", "name"})),
            cell(at(queue, {"exchange", "type"})), cell(queue.find("routing_key"))};
}

/// Wire: "celery.concurrency.prefork:TaskPool"; Celery 5.2 does not say.
std::string pool_name(const Json& stats) {
    std::string name = cell(at(stats, {"pool", "implementation"}));
    name.resize(std::min(name.find(':'), name.size()));
    return name.substr(name.rfind('.') + 1);
}

Cells stats_cells(const Json& stats, TimePoint /*now*/) {
    double tasks = 0;
    const Json* const total = stats.find("total");
    if (total != nullptr && total->is_object()) {
        for (const auto& [name, count] : total->as_object()) tasks += number_of(&count);
    }
    // Wire: rusage is getrusage(2)'s, so maxrss is KiB.
    const double mebibytes = number_of(at(stats, {"rusage", "maxrss"})) / 1024;
    return {pool_name(stats),
            cell(at(stats, {"pool", "max-concurrency"})),
            cell(stats.find("prefetch_count")),
            fmt::format("{:.0f}", tasks),
            duration_text(number_of(stats.find("uptime"))),
            fmt::format("{:.0f} MiB", mebibytes),
            cell(stats.find("pid")),
            cell(at(stats, {"broker", "transport"}))};
}

Cells ping_cells(const Json& reply, TimePoint /*now*/) {
    return {cell(reply.find("ok"))};
}

/// A reply to `query_task`: id → [where, task].
Cells query_cells(const std::string& id, const Json& found) {
    if (!found.is_array() || found.as_array().size() != 2) return {id, cell(&found), "", ""};
    const Json& task = found.as_array()[1];
    return {id, cell(found.as_array().data()), cell(task.find("name")), cell(task.find("args"))};
}

/// How the replies to one method are shown as a table. A node has one row or several.
struct Shape {
    enum class Reply : std::uint8_t { list, map, one };
    std::string_view method;
    Reply reply;
    std::vector<Table::Column> columns;  ///< After the node's.
    Cells (*cells)(const Json& item, TimePoint now);
};

const Shape* shape_of(std::string_view method) {
    using enum Table::Align;
    using enum Shape::Reply;
    static const std::array kShapes{
        Shape{"active",
              list,
              {{"id"}, {"task"}, {"args"}, {"kwargs"}, {"for", right}, {"pid", right}},
              active_cells},
        Shape{
            "reserved", list, {{"id"}, {"task"}, {"args"}, {"kwargs"}, {"queue"}}, reserved_cells},
        Shape{
            "scheduled", list, {{"eta"}, {"id"}, {"task"}, {"args"}, {"kwargs"}}, scheduled_cells},
        Shape{"registered", list, {{"task"}, {"attributes"}}, registered_cells},
        Shape{"active_queues",
              list,
              {{"queue"}, {"exchange"}, {"type"}, {"routing key"}},
              queue_cells},
        Shape{"query_task", map, {{"id"}, {"where"}, {"task"}, {"args"}}, nullptr},
        Shape{"stats",
              one,
              {{"pool"},
               {"slots", right},
               {"prefetch", right},
               {"tasks", right},
               {"up", right},
               {"memory", right},
               {"pid", right},
               {"broker"}},
              stats_cells},
        Shape{"ping", one, {{"answer"}}, ping_cells},
    };
    const auto* const found = std::ranges::find(kShapes, method, &Shape::method);
    return found == kShapes.end() ? nullptr : found;
}

/// False: the reply has not that shape.
bool append_rows(const Shape& shape, const Json& reply, TimePoint now, Rows& rows) {
    if (is_refusal(reply)) return false;
    switch (shape.reply) {
        case Shape::Reply::list:
            if (!reply.is_array()) return false;
            for (const Json& item : reply.as_array()) rows.push_back(shape.cells(item, now));
            return true;
        case Shape::Reply::map:
            if (!reply.is_object()) return false;
            for (const auto& [id, found] : reply.as_object())
                rows.push_back(query_cells(id, found));
            return true;
        case Shape::Reply::one:
            if (!reply.is_object()) return false;
            rows.push_back(shape.cells(reply, now));
            return true;
    }
    return false;
}

void append_indented(std::string& text, std::string_view foreign) {
    // Celery's `report` begins and ends with line ends.
    const std::size_t first = foreign.find_first_not_of('\n');
    if (first == std::string_view::npos) return;
    foreign = foreign.substr(first, foreign.find_last_not_of('\n') + 1 - first);
    text += "    ";
    lovage::detail::append_printable(text, foreign, lovage::detail::Lines::keep);
    text += '\n';
}

void append_value(std::string& text, const Json& value) {
    if (value.is_null()) return;
    if (value.is_string()) return append_indented(text, value.as_string());
    if (value.is_array()) {
        for (const Json& item : value.as_array()) {
            append_indented(text, item.is_string() ? item.as_string() : to_json_text(item));
        }
        if (value.as_array().empty()) text += "    (none)\n";
        return;
    }
    if (!value.is_object()) return append_indented(text, to_json_text(value));
    std::vector<std::string> lines;
    for (const auto& [name, member] : value.as_object()) {
        lines.push_back(name + ": " +
                        (member.is_string() ? member.as_string() : to_json_text(member)));
    }
    std::ranges::sort(lines);
    for (const std::string& line : lines) append_indented(text, line);
}

/// As Celery shows a reply: "->  node: OK", and below it what there is to say.
void append_reply(std::string& text, const std::string& node, const Json& reply) {
    const Json* const error = is_refusal(reply) ? reply.find("error") : nullptr;
    const Json* const ok = reply.find("ok");
    text += fmt::format("->  {}: {}\n", lovage::detail::printable_line(node),
                        error != nullptr ? "ERROR" : "OK");
    append_value(text, error != nullptr ? *error : ok != nullptr ? *ok : reply);
}

}  // namespace

bool is_refusal(const Json& reply) {
    return reply.is_object() && reply.as_object().size() == 1 && reply.find("error") != nullptr;
}

std::string remote_text(std::string_view method, const NodeReplies& replies, TimePoint now) {
    const Shape* const shape = shape_of(method);
    if (shape == nullptr) {
        std::string text;
        for (const auto& [node, reply] : replies) append_reply(text, node, reply);
        return text;
    }
    std::vector<Table::Column> columns{{"node"}};
    columns.insert(columns.end(), shape->columns.begin(), shape->columns.end());
    Table table{std::move(columns)};
    std::string others;
    bool tabled = false;
    for (const auto& [node, reply] : replies) {
        Rows rows;
        if (!append_rows(*shape, reply, now, rows)) {
            append_reply(others, node, reply);
            continue;
        }
        tabled = true;
        if (rows.empty()) {
            rows.emplace_back(shape->columns.size());
            rows.front().front() = "(none)";
        }
        for (Cells& row : rows) {
            row.insert(row.begin(), node);
            table.add_row(std::move(row));
        }
    }
    return (tabled ? table.text() : "") + others;
}

}  // namespace lovage::cli
