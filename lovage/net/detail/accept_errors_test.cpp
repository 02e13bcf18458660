#include <lovage/net/detail/accept_errors.hpp>

#include <gtest/gtest.h>

namespace lovage::net::detail {
namespace {

TEST(AcceptErrors, OfOneConnectionDoNotEndTheListener) {
    // accept(2), "Error handling", and firewalls' EPERM.
    for (const int error : {ENETDOWN, EPROTO, ENOPROTOOPT, EHOSTDOWN, ENONET, EHOSTUNREACH,
                            EOPNOTSUPP, ENETUNREACH, ECONNABORTED, EPERM}) {
        EXPECT_TRUE(only_this_connection(error)) << error;
    }
    for (const int error : {EBADF, EINVAL, EMFILE, ENFILE, ENOBUFS, ENOMEM, ENOTSOCK}) {
        EXPECT_FALSE(only_this_connection(error)) << error;
    }
}

}  // namespace
}  // namespace lovage::net::detail
