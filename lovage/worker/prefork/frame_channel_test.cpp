#include <lovage/worker/prefork/frame_channel.hpp>

#include <boost/asio/io_context.hpp>

#include <array>
#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

namespace lovage::slot {
namespace {

using ::testing::ElementsAre;

struct Joined {
    FileDescriptor own;
    FileDescriptor other;
};

Joined joined() {
    std::array<int, 2> ends{-1, -1};
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()), 0);
    return {FileDescriptor{ends[0]}, FileDescriptor{ends[1]}};
}

/// A channel over two sockets, as a worker has it for a slot; the test is the slot.
class TwoSockets : public ::testing::Test {
protected:
    ~TwoSockets() override {
        channel_.close();
        loop_.restart();
        loop_.run();  // what waited is told
    }

    static Awaitable<void> read(TwoSockets* self) { (void)co_await self->channel_.read(); }
    void turn() {
        loop_.restart();
        loop_.poll();
    }
    /// What the slot can read now.
    static std::string received(const FileDescriptor& socket) {
        std::string all;
        std::array<char, 4096> some;
        ssize_t got = 0;
        while ((got = ::recv(socket.get(), some.data(), some.size(), MSG_DONTWAIT)) > 0) {
            all.append(some.data(), static_cast<std::size_t>(got));
        }
        return all;
    }
    void say(const FileDescriptor& socket, const std::string& bytes) {
        EXPECT_EQ(::send(socket.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL),
                  static_cast<ssize_t>(bytes.size()));
    }

    boost::asio::io_context loop_{1};
    Joined in_ = joined();
    Joined out_ = joined();
    std::vector<FrameKind> heard_;
    FrameChannel channel_{loop_.get_executor(), std::move(in_.own), std::move(out_.own),
                          [this](const FrameReader::Frame& frame) {
                              heard_.push_back(frame.kind);
                              return Result<void>{};
                          }};
    TaskScope scope_{loop_.get_executor()};
};

TEST_F(TwoSockets, EachCarriesOneDirection) {
    scope_.spawn("read", read(this));
    append_quit(channel_.out());
    const std::string quit = channel_.out();
    channel_.flush(scope_);
    turn();
    EXPECT_EQ(received(out_.other), quit);
    EXPECT_EQ(received(in_.other), "");

    say(in_.other, quit);
    turn();
    EXPECT_THAT(heard_, ElementsAre(FrameKind::quit));
    say(out_.other, quit);
    turn();
    EXPECT_THAT(heard_, ElementsAre(FrameKind::quit)) << "nobody reads there";
}

TEST_F(TwoSockets, WhatDoesNotFitFollowsAsTheOtherSideReads) {
    scope_.spawn("read", read(this));
    const std::string sent(std::size_t{2} << 20U, 'x');
    channel_.out() = sent;
    channel_.flush(scope_);
    std::string all;
    for (std::string some = received(out_.other); !some.empty(); some = received(out_.other)) {
        EXPECT_LT(some.size(), sent.size()) << "the socket held everything: this tests nothing";
        all += some;
        turn();
    }
    EXPECT_EQ(all, sent);
}

TEST_F(TwoSockets, BothAreClosed) {
    channel_.close();
    std::array<char, 1> byte{};
    EXPECT_EQ(::recv(in_.other.get(), byte.data(), byte.size(), MSG_DONTWAIT), 0);
    EXPECT_EQ(::recv(out_.other.get(), byte.data(), byte.size(), MSG_DONTWAIT), 0);
}

}  // namespace
}  // namespace lovage::slot
