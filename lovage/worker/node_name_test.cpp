#include <lovage/worker/worker.hpp>

#include <gtest/gtest.h>

namespace lovage {
namespace {

TEST(NodeName, IsCeleryAtTheHostByDefault) {
    EXPECT_TRUE(node_name("").starts_with("celery@"));
    EXPECT_GT(node_name("").size(), std::string{"celery@"}.size());
}

TEST(NodeName, TakesANameWithoutAnAtSignAsTheHost) {
    EXPECT_EQ(node_name("w1"), "celery@w1");
}

TEST(NodeName, CompletesANameThatEndsInAnAtSign) {
    EXPECT_EQ(node_name("w1@"), "w1@" + node_name("").substr(7));
}

TEST(NodeName, ExpandsTheHostMark) {
    EXPECT_EQ(node_name("project-worker@%h"), "project-worker@" + node_name("").substr(7));
}

TEST(NodeName, RefusesAnUnknownMarkByName) {
    try {
        (void)node_name("w@%x");
        FAIL() << "accepted";
    } catch (const LovageError& error) {
        EXPECT_NE(std::string{error.what()}.find("'%x'"), std::string::npos);
    }
}

}  // namespace
}  // namespace lovage
