#include <lovage/core/uuid.hpp>

#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

namespace lovage {
namespace {

constexpr std::string_view kDnsNamespace = "6ba7b810-9dad-11d1-80b4-00c04fd430c8";

TEST(Uuid, Version4HasItsVersionAndVariantBits) {
    for (int i = 0; i < 1000; ++i) {
        const std::string id = uuid4();
        ASSERT_TRUE(is_uuid(id)) << id;
        EXPECT_EQ(id[14], '4');
        EXPECT_NE(std::string_view{"89ab"}.find(id[19]), std::string_view::npos);
    }
}

TEST(Uuid, Version4NeverRepeatsAcrossThreads) {
    constexpr int kIds = 5000;
    std::array<std::vector<std::string>, 4> made;
    {
        std::vector<std::jthread> threads;
        for (auto& mine : made) {
            threads.emplace_back([&mine] {
                for (int i = 0; i < kIds; ++i) mine.push_back(uuid4());
            });
        }
    }
    std::set<std::string> all;
    for (const auto& mine : made) all.insert(mine.begin(), mine.end());
    EXPECT_EQ(all.size(), made.size() * kIds);
}

TEST(Uuid, AForkedChildDoesNotRepeatItsParentsIds) {
    (void)uuid4();  // The parent's buffer is filled and the child inherits it.
    std::array<int, 2> ends{};
    ASSERT_EQ(pipe(ends.data()), 0);
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
        const std::string id = uuid4();
        _exit(write(ends[1], id.data(), id.size()) == 36 ? 0 : 1);
    }
    const std::string own = uuid4();
    std::string theirs(36, ' ');
    EXPECT_EQ(read(ends[0], theirs.data(), theirs.size()), 36);
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    close(ends[0]);
    close(ends[1]);
    EXPECT_TRUE(is_uuid(theirs)) << theirs;
    EXPECT_NE(own, theirs);
}

TEST(Uuid, Version5IsTheNamesIdInEveryProgram) {
    // Python: uuid.uuid5(uuid.NAMESPACE_DNS, 'python.org')
    EXPECT_EQ(uuid5(kDnsNamespace, "python.org"), "886313e1-3b8a-5372-9b90-0c9aee199e5d");
    EXPECT_EQ(uuid5("6BA7B810-9DAD-11D1-80B4-00C04FD430C8", "python.org"),
              uuid5(kDnsNamespace, "python.org"));
    EXPECT_NE(uuid5(kDnsNamespace, "callback/0"), uuid5(kDnsNamespace, "callback/1"));
    EXPECT_TRUE(is_uuid(uuid5(kDnsNamespace, "")));
}

TEST(Uuid, RecognisesOnlyTheTextForm) {
    EXPECT_TRUE(is_uuid("6ba7b810-9dad-11d1-80b4-00c04fd430c8"));
    EXPECT_TRUE(is_uuid("6BA7B810-9DAD-11D1-80B4-00C04FD430C8"));
    for (const auto* text :
         {"", "6ba7b8109dad11d180b400c04fd430c8", "6ba7b810-9dad-11d1-80b4-",
          "6ba7b810-9dad-11d1-80b4-00c04fd430cg", "6ba7b810x9dad-11d1-80b4-00c04fd430c8",
          "{6ba7b810-9dad-11d1-80b4-00c04fd430c8}", "6ba7b81--9dad-11d1-80b4-00c04fd430c8"}) {
        EXPECT_FALSE(is_uuid(text)) << text;
    }
}

}  // namespace
}  // namespace lovage
