#include <lovage/clients/redis/commands.hpp>

#include <gtest/gtest.h>

namespace lovage::redis {
namespace {

TEST(Commands, AreArraysOfBulkStrings) {
    const Commands commands{"SET", "key", "a\r\nDEL other\r\n", ""};
    EXPECT_EQ(commands.wire(),
              "*4\r\n$3\r\nSET\r\n$3\r\nkey\r\n$14\r\na\r\nDEL other\r\n\r\n$0\r\n\r\n");
    EXPECT_EQ(commands.size(), 1U);
}

TEST(Commands, KeepTheirOrderAndPlaces) {
    Commands commands;
    commands.add({"GET", "a"});
    commands.add({"EXPIRE", "b", Number{std::size_t{86'400}}});
    EXPECT_EQ(commands.size(), 2U);
    EXPECT_EQ(commands.wire(0), "*2\r\n$3\r\nGET\r\n$1\r\na\r\n");
    EXPECT_EQ(commands.wire(1), "*3\r\n$6\r\nEXPIRE\r\n$1\r\nb\r\n$5\r\n86400\r\n");

    Commands some;
    some.append(commands, 1);
    EXPECT_EQ(some.wire(), commands.wire(1));
}

TEST(Commands, CallScriptsByTheirHash) {
    const Script script{"return 1"};
    EXPECT_EQ(script.sha(), "e0e1f9fabfc9d4800c877a703b823ac0578ff8db");  // SCRIPT LOAD 'return 1'
    Commands commands;
    commands.add_script(script, {"key"}, {"argument", Number{-7}});
    EXPECT_EQ(commands.wire(), "*6\r\n$7\r\nEVALSHA\r\n$40\r\n" + script.sha() +
                                   "\r\n$1\r\n1\r\n$3\r\nkey\r\n$8\r\nargument\r\n$2\r\n-7\r\n");
    ASSERT_NE(commands.script(), nullptr);
    EXPECT_EQ(commands.script()->body(), "return 1");
}

}  // namespace
}  // namespace lovage::redis
