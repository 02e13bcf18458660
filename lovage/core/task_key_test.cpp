#include <lovage/core/task_definition.hpp>
#include <lovage/core/task_function.hpp>
#include <lovage/core/task_key.hpp>
#include <lovage/core/uuid.hpp>

#include <stdexcept>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace lovage {
namespace {

using testing::HasSubstr;

TaskDefinition payment() {
    return make_task_definition(
        "charge", [](const std::string&, const Json&, int) {}, arg("customer"), arg("cart"),
        arg("cents") = 5);
}

std::optional<std::string> key(const TaskKey& of, const char* args, const char* kwargs = "{}",
                               bool all = true) {
    return key_of_call(payment(), of, all, Json::raw(args), Json::raw(kwargs));
}

TEST(TaskKey, IsTheSameForArgumentsThatAreEqual) {
    const auto by_position = key({}, R"(["a", {"x": 1, "y": [2, {"p": 1, "q": 2}]}])");
    ASSERT_TRUE(by_position);
    EXPECT_TRUE(is_uuid(*by_position));
    EXPECT_EQ(by_position, key({}, R"(["a", {"y":[2,{"q":2,"p":1}],"x":1}, 5])"));
    EXPECT_EQ(by_position, key({}, R"(["a"])", R"({"cart": {"x": 1, "y": [2, {"q":2,"p":1}]}})"));
    EXPECT_NE(by_position, key({}, R"(["a", {"x": 1, "y": [{"p": 1, "q": 2}, 2]}])"));
    EXPECT_NE(by_position, key({}, R"(["a", {"x": 1, "y": [2, {"p": 1, "q": 2}]}, 6])"));
}

TEST(TaskKey, CountsTheNamedArgumentsOnly) {
    EXPECT_EQ(key(per("customer"), R"(["a", {}, 1])"), key(per("customer"), R"(["a", [], 2])"));
    EXPECT_NE(key(per("customer"), R"(["a", {}])"), key(per("customer"), R"(["b", {}])"));
    EXPECT_NE(key(per("customer", "cents"), R"(["a", {}, 1])"),
              key(per("customer", "cents"), R"(["a", {}, 2])"));
    EXPECT_NE(key(per("customer"), R"(["1", {}])"), key(per("cents"), R"(["a", {}, 1])"));
}

TEST(TaskKey, ThatIsNotSetMeansAllArgumentsOrNone) {
    EXPECT_NE(key({}, R"(["a", {}])"), key({}, R"(["b", {}])"));
    EXPECT_EQ(key({}, R"(["a", {}])", "{}", false), key({}, R"(["b", {}])", "{}", false));
}

TEST(TaskKey, CanBeMadeByAFunction) {
    TaskKey tenant;
    tenant.function = [](std::span<const Json> values) {
        const std::string& customer = values[0].as_string();
        if (customer.empty()) throw std::runtime_error{"nobody"};
        return customer.substr(0, 1);
    };
    EXPECT_EQ(key(tenant, R"(["anna", {}])"), key(tenant, R"(["alfred", {}])"));
    EXPECT_NE(key(tenant, R"(["anna", {}])"), key(tenant, R"(["bert", {}])"));
    EXPECT_EQ(key(tenant, R"(["", {}])"), std::nullopt);
}

TEST(TaskKey, IsNoneForArgumentsThatDoNotFit) {
    EXPECT_EQ(key({}, "[]"), std::nullopt);
    EXPECT_EQ(key({}, R"(["a", {}, 1, 2])"), std::nullopt);
    EXPECT_EQ(key({}, R"(["a", {}])", R"({"other": 1})"), std::nullopt);
}

TEST(TaskKey, OfAParameterThatIsNotThereIsRefused) {
    EXPECT_NO_THROW(check_key(payment(), per("cart"), "unique"));
    try {
        check_key(payment(), per("customer", "custmer"), "concurrency_limit");
        FAIL() << "taken";
    } catch (const LovageError& error) {
        EXPECT_EQ(error.code(), Errc::invalid_argument);
        EXPECT_THAT(error.what(), HasSubstr("'charge': concurrency_limit"));
        EXPECT_THAT(error.what(), HasSubstr("'custmer'"));
    }
}

}  // namespace
}  // namespace lovage
