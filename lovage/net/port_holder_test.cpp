#include <lovage/net/port_holder.hpp>

#include <gtest/gtest.h>

namespace lovage::net {
namespace {

// Lines of a real /proc/net/tcp (Linux 6.1): port 5000 listening, a connection to it, port 25
// listening.
constexpr const char* kTable =
    "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout "
    "inode\n"
    "   0: 0100007F:1388 0100007F:D431 01 00000000:00000000 00:00000000 00000000  1000        0 "
    "77001 1 "
    "0000000000000000 20 4 30 10 -1\n"
    "   1: 00000000:1388 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 "
    "41233 1 "
    "0000000000000000 100 0 0 10 0\n"
    "   2: 0100007F:0019 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 "
    "18077 1 "
    "0000000000000000 100 0 0 10 0\n";

TEST(PortHolder, IsTheListenerNotAConnectionOnTheSamePort) {
    const auto socket = find_listening_socket(kTable, 5000);
    ASSERT_TRUE(socket);
    EXPECT_EQ(socket->inode, 41233U);
    EXPECT_EQ(socket->user_id, 1000U);
}

TEST(PortHolder, IsNobodyWhenNothingListens) {
    EXPECT_FALSE(find_listening_socket(kTable, 5001));
    EXPECT_FALSE(find_listening_socket("", 5000));
    EXPECT_FALSE(find_listening_socket("garbage\n\n 1: zz:xx 0 0A", 5000));
}

}  // namespace
}  // namespace lovage::net
