#include <lovage/runtime/orphan_reaper.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace lovage {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(OrphanFilter, LeavesAChildToWhoeverStartedItForOneLook) {
    OrphanFilter filter;
    EXPECT_THAT(filter.look({7}), IsEmpty());
    EXPECT_THAT(filter.look({}), IsEmpty());  // it was waited for
    EXPECT_THAT(filter.look({7}), IsEmpty()) << "another process may have got the number";
}

TEST(OrphanFilter, NamesWhatIsFoundTwice) {
    OrphanFilter filter;
    EXPECT_THAT(filter.look({7, 9}), IsEmpty());
    EXPECT_THAT(filter.look({9, 12}), ElementsAre(9));
    EXPECT_THAT(filter.look({12}), ElementsAre(12));
}

TEST(ProcessLine, ReadsParentAndStateBehindAnyName) {
    const auto line = parse_process_line("42 (a) b (c) Z 1) Z 17 42 42 0 -1");
    ASSERT_TRUE(line);
    EXPECT_EQ(line->parent, 17);
    EXPECT_TRUE(line->ended);
    EXPECT_FALSE(parse_process_line("42 (sleep) S 1 42 42 0 -1")->ended);
}

TEST(ProcessLine, RefusesOtherTexts) {
    for (const char* text : {"", "42", "42 (sleep)", "42 (sleep) ", "42 (sleep) S",
                             "42 (sleep) S x 1", "42 (sleep)S 1 1"}) {
        EXPECT_FALSE(parse_process_line(text)) << text;
    }
}

}  // namespace
}  // namespace lovage
