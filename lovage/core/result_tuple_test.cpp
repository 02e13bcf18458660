#include <lovage/core/result_tuple.hpp>

#include <gtest/gtest.h>

namespace lovage {
namespace {

TEST(ResultTuple, IsCelerys) {
    const Json task = task_result_tuple("a");
    EXPECT_EQ(to_json_text(task), R"([["a", null], null])");
    EXPECT_EQ(to_json_text(task_result_tuple("b", task)), R"([["b", [["a", null], null]], null])");
    const Json group = group_result_tuple("g", Json::array({task}), task_result_tuple("p"));
    EXPECT_EQ(to_json_text(group), R"([["g", [["p", null], null]], [[["a", null], null]]])");
    EXPECT_TRUE(is_group_result(group));
    EXPECT_TRUE(is_group_result(group_result_tuple("g", Json::array())));
    EXPECT_FALSE(is_group_result(task));
    EXPECT_FALSE(is_group_result(Json{}));
}

}  // namespace
}  // namespace lovage
