#include <lovage/cli/table.hpp>

#include <gtest/gtest.h>

namespace lovage::cli {
namespace {

TEST(Table, ColumnsAreAsWideAsTheirWidestCell) {
    Table table{{{"queue"}, {"ready", Table::Align::right}, {"note"}}};
    table.add_row({"celery", "7", ""});
    table.add_row({"größe", "12345678", "x"});
    EXPECT_EQ(table.text(),
              "queue      ready  note\n"
              "celery         7\n"
              "größe   12345678  x\n");
}

TEST(Table, ForeignTextCannotSteerTheTerminal) {
    Table table{{{"name"}}};
    table.add_row({"a\x1b[2J\nb"});
    EXPECT_EQ(table.text(), "name\na\\x1b[2J\\nb\n");
}

TEST(CountOf, KnowsThePlural) {
    EXPECT_EQ(count_of(0, "message"), "0 messages");
    EXPECT_EQ(count_of(1, "message"), "1 message");
    EXPECT_EQ(count_of(2, "queue"), "2 queues");
}

}  // namespace
}  // namespace lovage::cli
