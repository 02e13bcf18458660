#pragma once

#include <gtest/gtest.h>
#include <boost/asio/io_context.hpp>

namespace lovage {

/// For what tells of its news by way of a loop: the test turns the loop by hand and counts them.
class TurnedLoop : public testing::Test {
protected:
    /// Lets what was posted happen.
    void turn() {
        loop_.restart();
        loop_.poll();
    }

    boost::asio::io_context loop_;
    int news_ = 0;
};

}  // namespace lovage
