#include <lovage/app/result_graph.hpp>

#include <algorithm>
#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <lovage/app/app.hpp>
#include <lovage/core/canvas.hpp>
#include <lovage/core/chord_watch.hpp>
#include <lovage/core/signature.hpp>
#include <tests/support/memory_app.hpp>

namespace lovage {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::UnorderedElementsAre;

/// Records as workers leave them behind.
class ResultGraphTest : public testing::Test {
protected:
    struct Stored {
        std::string id;
        std::string state = "SUCCESS";
        std::string parent = {};
        std::string group = {};
        std::string children = "[]";
        std::string name = {};
    };
    void store(const Stored& one) {
        TaskMeta meta;
        meta.task_id = one.id;
        meta.status = one.state;
        meta.result = Json::raw("1");
        meta.children = Json::raw(one.children);
        if (!one.parent.empty()) meta.parent_id = one.parent;
        if (!one.group.empty()) meta.group_id = one.group;
        if (!one.name.empty()) meta.extra.set("name", one.name);
        run([&](ResultBackend& results) { return results.store(meta, Deadline::in(10s)); });
    }
    /// The chord `group` of `members`, which leads to the task `body`; it is over.
    void note_chord(const std::string& group, const std::string& members, const std::string& body) {
        Signature signature;
        signature.task = "sum";
        signature.options.set("task_id", body);
        const Json watch = encode_chord_watch(encode_signature(signature), "", Json::raw(members));
        run([&](ResultBackend& results) {
            return results.start_chord({group, 1, {}, watch}, Deadline::in(10s));
        });
        run([&](ResultBackend& results) { return results.end_chord(group, Deadline::in(10s)); });
    }
    template <class Call>
    void run(Call call) {
        const auto connected = [](std::shared_ptr<AppCore> core) -> Awaitable<void> {
            value_or_throw(co_await core->connect(Deadline::in(10s)));
        };
        app_.core()->loop().run_blocking(connected(app_.core()));
        (void)value_or_throw(app_.core()->loop().run_blocking(call(app_.core()->results())));
    }
    /// "from > to" of each edge.
    static std::vector<std::string> edges_of(const ResultGraph& graph) {
        std::vector<std::string> edges;
        for (const auto& [from, to] : graph.edges) {
            edges.push_back(graph.nodes[from].id + " > " + graph.nodes[to].id);
        }
        return edges;
    }

    App app_{"test", memory_settings()};
};

TEST_F(ResultGraphTest, AChainIsALineFromWhicheverStepItIsAsked) {
    store({.id = "a", .children = R"([[["b", null], null]])", .name = "add"});
    store({.id = "b", .parent = "a", .children = R"([[["c", ["b", null]], null]])"});
    store({.id = "c", .state = "FAILURE", .parent = "b"});
    for (const auto* const id : {"a", "b", "c"}) {
        const ResultGraph graph = app_.async_result(id).graph();
        EXPECT_THAT(edges_of(graph), ElementsAre("a > b", "b > c"));
        EXPECT_EQ(graph.nodes[0].name, "add");
        EXPECT_EQ(graph.nodes[2].state, "FAILURE");
    }
    EXPECT_EQ(app_.async_result("b").parent()->id(), "a");
    EXPECT_EQ(app_.async_result("a").parent(), std::nullopt);
}

TEST_F(ResultGraphTest, AChordLeadsFromItsPartsToItsBody) {
    store({.id = "a", .group = "g"});
    store({.id = "b", .state = "STARTED", .group = "g"});
    store({.id = "first", .children = R"([[["last", null], null]])"});
    store({.id = "last", .parent = "first", .group = "g"});
    note_chord("g",
               R"([[["a", null], null], [["b", null], null],
                   [["last", [["first", null], null]], null]])",
               "body");
    const std::vector<std::string> whole{"g > a",    "g > b",    "g > first",  "first > last",
                                         "a > body", "b > body", "last > body"};
    EXPECT_THAT(edges_of(app_.async_result("a").graph()),
                testing::UnorderedElementsAreArray(whole));
    EXPECT_THAT(edges_of(app_.async_result("g").graph()),
                testing::IsSupersetOf({"g > first", "first > last", "last > body"}));
    store({.id = "body", .parent = "b"});
    const ResultGraph graph = app_.async_result("body").graph();
    EXPECT_THAT(edges_of(graph), testing::UnorderedElementsAreArray(whole));
    const auto body = std::ranges::find(graph.nodes, "body", &ResultGraph::Node::id);
    EXPECT_EQ(body->name, "sum");
    EXPECT_EQ(body->state, "SUCCESS");
    EXPECT_TRUE(std::ranges::find(graph.nodes, "g", &ResultGraph::Node::id)->group);
}

TEST_F(ResultGraphTest, AGroupHasItsMembersBelowIt) {
    store(
        {.id = "start",
         .children = R"([[["g", ["start", null]], [[["a", null], null], [["b", null], null]]]])"});
    store({.id = "a", .parent = "start", .group = "g"});
    EXPECT_THAT(edges_of(app_.async_result("start").graph()),
                ElementsAre("start > g", "g > a", "g > b"));
    const auto children = app_.async_result("start").children();
    ASSERT_EQ(children.size(), 1U);
    EXPECT_TRUE(children[0].group);
    EXPECT_THAT(children[0].members, ElementsAre("a", "b"));
    const GroupResult<> group{app_.core(), "g", {"a", "b"}};
    EXPECT_THAT(edges_of(group.graph()), ElementsAre("g > a", "g > b"));
}

/// Python's workers tell nobody which body their chord leads to; only its record names its parent.
TEST_F(ResultGraphTest, TheTaskThatIsAskedIsInItWithTheWayToIt) {
    store(
        {.id = "start",
         .children = R"([[["g", ["start", null]], [[["a", null], null], [["b", null], null]]]])"});
    store({.id = "a", .parent = "start", .group = "g"});
    store({.id = "b", .parent = "start", .group = "g"});
    store({.id = "body", .parent = "b", .children = R"([[["last", null], null]])"});
    store({.id = "last", .parent = "body"});
    for (const auto* const id : {"body", "last"}) {
        EXPECT_THAT(edges_of(app_.async_result(id).graph()),
                    ElementsAre("start > g", "g > a", "g > b", "b > body", "body > last"));
    }
    EXPECT_THAT(edges_of(app_.async_result("a").graph()),
                ElementsAre("start > g", "g > a", "g > b"));
}

TEST_F(ResultGraphTest, WhatNobodyKnowsIsNotFound) {
    try {
        (void)app_.async_result("nobody").graph();
        FAIL();
    } catch (const LovageError& error) {
        EXPECT_EQ(error.error().code, Errc::not_found);
    }
    EXPECT_THAT(app_.async_result("nobody").children(), IsEmpty());
}

TEST_F(ResultGraphTest, AWorkflowIsRevokedAsAWhole) {
    store({.id = "a", .group = "g"});
    note_chord("g", R"([[["a", null], null], [["b", null], null]])", "body");
    app_.async_result("a").revoke_workflow();
    EXPECT_EQ(app_.async_result("a").state(), "SUCCESS");
    EXPECT_EQ(app_.async_result("b").state(), "REVOKED");
    EXPECT_EQ(app_.async_result("body").state(), "REVOKED");
    app_.async_result("pending").revoke_workflow();
    EXPECT_EQ(app_.async_result("pending").state(), "REVOKED");
}

TEST(ResultGraph, IsWrittenForGraphvizAndAsJson) {
    const ResultGraph graph{
        {{"0123456789", false, "say \"hi\"\\", "SUCCESS"}, {"g\n", true, "", ""}}, {{0, 1}}};
    EXPECT_EQ(graph.to_dot(),
              "digraph workflow {\n"
              "    node [style=filled];\n"
              "    \"0123456789\" [label=\"say \\\"hi\\\"\\\\\\n01234567\\nSUCCESS\", shape=box, "
              "fillcolor=palegreen];\n"
              "    \"g\" [label=\"group\\ng\", shape=ellipse, fillcolor=lightgrey];\n"
              "    \"0123456789\" -> \"g\";\n"
              "}\n");
    EXPECT_EQ(to_json_text(graph.to_json()),
              R"({"nodes": [{"id": "0123456789", "type": "task", "name": "say \"hi\"\\", )"
              R"("state": "SUCCESS"}, {"id": "g\n", "type": "group", "name": null, )"
              R"("state": null}], "edges": [{"from": "0123456789", "to": "g\n"}]})");
}

TEST_F(ResultGraphTest, MembersComeInTheOrderInWhichTheyEnd) {
    const GroupResult<std::int64_t> group{app_.core(), "g", {"a", "b", "c"}};
    store({.id = "c"});
    auto iteration = group.iterate(10s);
    auto member = iteration.next();
    ASSERT_TRUE(member);
    EXPECT_EQ(member->index, 2U);
    EXPECT_EQ(AsyncResult<std::int64_t>::value_from(member->meta), 1);
    store({.id = "a", .state = "FAILURE"});
    EXPECT_EQ(iteration.next()->meta.task_id, "a");
    store({.id = "b"});
    EXPECT_EQ(iteration.next()->meta.task_id, "b");
    EXPECT_EQ(iteration.next(), std::nullopt);

    std::vector<std::size_t> all;
    for (const ReadyMember& one : group.iterate(10s)) all.push_back(one.index);
    EXPECT_THAT(all, UnorderedElementsAre(0, 1, 2));

    const GroupResult<> unfinished{app_.core(), "g", {"a", "never"}};
    auto waiting = unfinished.iterate(50ms);
    EXPECT_EQ(waiting.next()->index, 0U);
    EXPECT_THROW((void)waiting.next(), LovageError);
    EXPECT_THAT(unfinished.task_ids(), ElementsAre("a", "never"));
}

}  // namespace
}  // namespace lovage
