#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include <lovage/core/json.hpp>

namespace lovage {

/// What a task has sent: a task, or a group.
struct ChildResult {
    std::string id;
    bool group = false;
    std::vector<std::string> members;  ///< Of a group, its tasks; groups in it are opened.
};

/// A workflow as its stored results tell it: which tasks and groups there are, and what came out of
/// what. A plain value.
struct ResultGraph {
    struct Node {
        std::string id;
        bool group = false;  ///< The header of a chord, or a group; its members hang below it.
        std::string name;    ///< The task's; empty when nobody has stored it (`result_extended`).
        std::string state;   ///< PENDING when there is no result; empty for groups.
    };
    /// From what came first to what it led to, by their places in `nodes`.
    struct Edge {
        std::size_t from = 0;
        std::size_t to = 0;
        friend bool operator==(const Edge&, const Edge&) = default;
    };

    std::vector<Node> nodes;  ///< The root first.
    std::vector<Edge> edges;

    /// Graphviz's language. Tasks are boxes in the colour of their state, groups ellipses.
    [[nodiscard]] std::string to_dot() const;
    /// {"nodes": [{"id", "type": "task" or "group", "name", "state"}], "edges": [{"from", "to"}]}
    /// with ids.
    [[nodiscard]] Json to_json() const;
};

}  // namespace lovage
