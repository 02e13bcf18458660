#include <lovage/http/routing/router.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <stdexcept>

namespace lovage::http {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

class RouterTest : public testing::Test {
protected:
    void add(Method method, const std::string& path) {
        router_.add(method, PathTemplate{path}, next_++);
    }
    /// The number of the route found, or why there is none.
    std::string find(Method method, std::string_view path) {
        const auto match = router_.find(method, path, values_);
        switch (match.outcome) {
            case Router::Outcome::found:
                return std::to_string(match.route);
            case Router::Outcome::method_not_allowed:
                return "allow " + match.allow;
            case Router::Outcome::other_slash:
                return "slash";
            case Router::Outcome::not_found:
                break;
        }
        return "none";
    }

    Router router_;
    int next_ = 0;
    std::vector<std::string> values_;
};

TEST_F(RouterTest, FindsLiteralPathsAndDecodesParameters) {
    add(Method::get, "/");
    add(Method::get, "/v1/tasks/{taskId}");
    add(Method::get, "/v1/tasks/{taskId}/result/");
    EXPECT_EQ(find(Method::get, "/"), "0");
    EXPECT_EQ(find(Method::get, "/v1/tasks/a%20b%2Fc"), "1");
    EXPECT_THAT(values_, ElementsAre("a b/c"));
    EXPECT_EQ(find(Method::get, "/v1/%74asks/x/result/"), "2");
    EXPECT_THAT(values_, ElementsAre("x"));
    EXPECT_EQ(find(Method::get, "/v1/tasks/"), "none") << "a parameter is never empty";
    EXPECT_EQ(find(Method::get, "/v1//tasks/x"), "none");
    EXPECT_EQ(find(Method::get, "/v1/tasks%2Fx"), "none");
    EXPECT_EQ(find(Method::get, "*"), "none");
}

TEST_F(RouterTest, TheTrailingSlashCountsAndTheOtherFormIsKnown) {
    add(Method::post, "/a/");
    add(Method::get, "/p/{n}");
    EXPECT_EQ(find(Method::post, "/a"), "slash");
    EXPECT_EQ(find(Method::get, "/a"), "slash") << "whatever the method, as FastAPI";
    EXPECT_EQ(find(Method::get, "/p/3/"), "slash");
    EXPECT_EQ(find(Method::get, "//p/3/"), "none")
        << "a redirect to //host would leave this server";
    add(Method::get, "/{x}");
    EXPECT_EQ(find(Method::get, "/evil.example/"), "slash");
    EXPECT_EQ(find(Method::get, "/\\evil.example/"), "none") << "browsers read a backslash as '/'";
}

TEST_F(RouterTest, TellsWhichMethodsThereAre) {
    add(Method::get, "/p/{n}");
    add(Method::put, "/p/{id}");
    EXPECT_EQ(find(Method::head, "/p/1"), "0");
    EXPECT_EQ(find(Method::put, "/p/1"), "1");
    EXPECT_EQ(find(Method::delete_, "/p/1"), "allow GET, HEAD, PUT");
    EXPECT_EQ(find(Method::other, "/p/1"), "allow GET, HEAD, PUT");
    EXPECT_EQ(router_.allowed_methods("/q"), "");
}

TEST_F(RouterTest, ALiteralSegmentWinsOverAParameter) {
    add(Method::get, "/tasks/{id}");
    add(Method::get, "/tasks/mine");
    add(Method::get, "/{kind}/mine/all");
    add(Method::post, "/tasks/all");
    EXPECT_EQ(find(Method::get, "/tasks/mine"), "1");
    EXPECT_THAT(values_, IsEmpty());
    EXPECT_EQ(find(Method::get, "/tasks/other"), "0");
    EXPECT_EQ(find(Method::get, "/tasks/all"), "0") << "the literal path has no GET";
}

TEST_F(RouterTest, RefusesRoutesOfWhichNeitherWouldWin) {
    add(Method::get, "/a/{x}/c");
    EXPECT_THROW(add(Method::get, "/a/{x}/c"), std::invalid_argument);
    EXPECT_THROW(add(Method::get, "/a/{y}/c"), std::invalid_argument);
    EXPECT_THROW(add(Method::get, "/a/b/{y}"), std::invalid_argument);
    add(Method::post, "/a/b/{y}");
    add(Method::get, "/a/b/c");
    add(Method::get, "/a/{x}/");
    EXPECT_EQ(find(Method::get, "/a/b/c"), "5");
}

TEST_F(RouterTest, RefusesWhatIsNoTemplate) {
    for (const char* text : {"", "a", "/a//b", "/{x}y", "/{x", "/{x}/{x}", "/a?b", "/a b", "/{}"}) {
        EXPECT_THROW(PathTemplate{text}, std::invalid_argument) << text;
    }
}

}  // namespace
}  // namespace lovage::http
