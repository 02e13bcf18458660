#include <lovage/core/task_definition.hpp>
#include <lovage/core/task_function.hpp>

#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <boost/describe.hpp>

namespace lovage {

struct Point {
    int x = 0;
    int y = 0;
};
BOOST_DESCRIBE_STRUCT(Point, (), (x, y))

namespace {

using testing::HasSubstr;

std::int64_t multiply(std::int64_t integer, std::int64_t multiply_by) {
    return integer * multiply_by;
}

TaskDefinition multiplication() {
    return make_task_definition("multiply", multiply, arg("integer"), arg("multiply_by") = 2);
}

/// Binds and runs a call; the result as JSON text, or "Type: message" of its failure.
std::string call(const TaskDefinition& task, const char* args, const char* kwargs = "{}") {
    TaskContext context{{.id = "id-1", .task = task.name, .retries = 3}};
    try {
        const auto values = bind_arguments(task, Json::raw(args), Json::raw(kwargs));
        return to_json_text(task.run(context, values));
    } catch (...) {
        const TaskFailure failure = failure_from_exception(std::current_exception(), task.name);
        return failure.exc_type + ": " + failure.exc_message;
    }
}

TEST(TaskFunction, RunsWithPositionalKeywordAndDefaultArguments) {
    EXPECT_EQ(call(multiplication(), "[21]"), "42");
    EXPECT_EQ(call(multiplication(), "[21, 3]"), "63");
    EXPECT_EQ(call(multiplication(), "[]", R"({"multiply_by": 3, "integer": 7})"), "21");
    EXPECT_EQ(call(multiplication(), "[7]", R"({"multiply_by": 4})"), "28");
}

TEST(TaskFunction, NamesAMissingArgument) {
    EXPECT_EQ(call(multiplication(), "[]"),
              "TypeError: multiply() missing 1 required argument: 'integer'; it is "
              "multiply(integer: int, multiply_by: int = 2)");
}

TEST(TaskFunction, NamesAnUnexpectedKeywordArgument) {
    EXPECT_THAT(call(multiplication(), "[1]", R"({"factor": 3})"),
                HasSubstr("got an unexpected keyword argument 'factor'"));
}

TEST(TaskFunction, NamesADoubledArgument) {
    EXPECT_EQ(call(multiplication(), "[1]", R"({"integer": 3})"),
              "TypeError: multiply() got multiple values for argument 'integer'");
}

TEST(TaskFunction, CountsTooManyArguments) {
    EXPECT_THAT(call(multiplication(), "[1, 2, 3]"),
                HasSubstr("takes from 1 to 2 positional arguments but 3 were given"));
}

TEST(TaskFunction, AWrongTypeNamesParameterExpectedAndReceivedType) {
    const std::string failure = call(multiplication(), R"(["abc"])");
    EXPECT_THAT(failure, HasSubstr("TypeError: multiply() argument integer"));
    EXPECT_THAT(failure, HasSubstr("expected int"));
    EXPECT_THAT(failure, HasSubstr("received str 'abc'"));
}

TEST(TaskFunction, AnIntegerThatDoesNotFitIsAFailureNotADifferentNumber) {
    EXPECT_THAT(call(multiplication(), "[123456789012345678901234567890]"),
                HasSubstr("argument integer"));
}

TEST(TaskFunction, TakesStructsOptionalsVectorsAndMaps) {
    const auto task = make_task_definition(
        "sum",
        [](const Point& point, std::optional<int> extra, const std::vector<int>& list,
           const std::map<std::string, int>& map) {
            int sum = point.x + point.y + extra.value_or(0);
            for (const int value : list) sum += value;
            for (const auto& [name, value] : map) sum += value;
            return Point{sum, -sum};
        },
        arg("point"), arg("extra"), arg("list"), arg("map"));
    EXPECT_EQ(call(task, R"([{"x": 1, "y": 2}, null, [3, 4], {"five": 5}])"),
              R"({"x": 15, "y": -15})");
}

TEST(TaskFunction, ReportsThePathInsideAnArgument) {
    const auto task = make_task_definition("f", [](const std::vector<Point>&) {}, arg("points"));
    EXPECT_THAT(call(task, R"([[{"x": 1, "y": "two"}]])"), HasSubstr("points[0].y"));
}

TEST(TaskFunction, TasksWithoutArgumentsAndWithoutResult) {
    const auto task = make_task_definition("noop", [] {});
    EXPECT_EQ(call(task, "[]"), "null");
    EXPECT_THAT(call(task, "[1]"), HasSubstr("takes 0 positional arguments but 1 was given"));
}

TEST(TaskFunction, ABoundTaskGetsItsContext) {
    const auto task = make_task_definition(
        "bound",
        [](TaskContext& context, int add) {
            return context.id() + ":" + std::to_string(context.retries() + add);
        },
        arg("add"));
    EXPECT_TRUE(task.bound);
    EXPECT_EQ(task.parameters.size(), 1U);
    EXPECT_EQ(call(task, "[4]"), "\"id-1:7\"");
}

TEST(TaskFunction, ArgumentsThatAreNoListOrMapAreTypeErrors) {
    EXPECT_THAT(call(multiplication(), "{}"),
                HasSubstr("positional arguments as a list, not dict"));
    EXPECT_THAT(call(multiplication(), "[]", "[]"),
                HasSubstr("keyword arguments as a map, not list"));
}

TEST(TaskFailureMapping, StandardExceptionsBecomePythonBuiltIns) {
    const auto type_of = [](auto exception) {
        return failure_from_exception(std::make_exception_ptr(exception), "t").exc_type;
    };
    EXPECT_EQ(type_of(std::invalid_argument{"x"}), "ValueError");
    EXPECT_EQ(type_of(std::out_of_range{"x"}), "IndexError");
    EXPECT_EQ(type_of(std::overflow_error{"x"}), "OverflowError");
    EXPECT_EQ(type_of(std::bad_alloc{}), "MemoryError");
    EXPECT_EQ(type_of(std::filesystem::filesystem_error{"x", std::error_code{}}), "OSError");
    EXPECT_EQ(type_of(std::runtime_error{"x"}), "RuntimeError");
    EXPECT_EQ(type_of(42), "Exception");
    EXPECT_EQ(type_of(TaskError{"OutOfStock", "x", "shop"}), "OutOfStock");
}

TEST(TaskFailureMapping, TheTracebackReadsLikePythons) {
    const TaskFailure failure =
        failure_from_exception(std::make_exception_ptr(std::invalid_argument{"boom"}), "pay");
    EXPECT_EQ(failure.exc_module, "builtins");
    EXPECT_EQ(failure.traceback,
              "Traceback (most recent call last):\n"
              "  C++ task \"pay\", thrown as std::invalid_argument\n"
              "ValueError: boom\n");
}

TEST(TaskRegistry, RefusesANameThatIsTaken) {
    TaskRegistry registry;
    registry.add(multiplication());
    try {
        registry.add(multiplication());
        FAIL() << "accepted";
    } catch (const LovageError& error) {
        EXPECT_EQ(error.code(), Errc::already_exists);
        EXPECT_THAT(error.what(), HasSubstr("multiply"));
    }
}

TEST(TaskRegistry, RefusesUnusableNamesAndParameters) {
    TaskRegistry registry;
    EXPECT_THROW(registry.add(make_task_definition("", [] {})), LovageError);
    EXPECT_THROW(registry.add(make_task_definition("a\nb", [] {})), LovageError);
    EXPECT_THROW(registry.add(make_task_definition(std::string(256, 'a'), [] {})), LovageError);
    EXPECT_THROW(registry.add(make_task_definition("twice", multiply, arg("x"), arg("x"))),
                 LovageError);
    EXPECT_THROW(registry.add(make_task_definition("order", multiply, arg("x") = 1, arg("y"))),
                 LovageError);
}

TEST(TaskRegistry, FindsByNameAndListsSorted) {
    TaskRegistry registry;
    registry.add(make_task_definition("b", [] {}));
    registry.add(make_task_definition("a", [] {}));
    EXPECT_NE(registry.find("a"), nullptr);
    EXPECT_EQ(registry.find("c"), nullptr);
    EXPECT_THAT(registry.names(), testing::ElementsAre("a", "b"));
}

}  // namespace
}  // namespace lovage
