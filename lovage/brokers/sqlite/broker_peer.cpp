// Another process on a broker folder, for the tests. It says what it does on standard output, one
// line a step, and is told what to do on standard input.
//
//   lovage_broker_peer FOLDER LEASE_MS publish QUEUE COUNT   confirms "sent N" one by one
//   lovage_broker_peer FOLDER LEASE_MS work QUEUE            "done BODY" for each, until its input
//   ends lovage_broker_peer FOLDER LEASE_MS hold QUEUE COUNT      takes COUNT, says "holding", acks
//   at "ack",
//                                                            then says "stale N"; "lost" when its
//                                                            lease was lost meanwhile
//   lovage_broker_peer SIZE_KIB 0 fill QUEUE 0               in a full file system of its own; says
//   how it went

#include <lovage/brokers/sqlite/sqlite_broker.hpp>
#include <lovage/runtime/loop.hpp>

#include <array>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <thread>

#include <sched.h>
#include <sys/mount.h>
#include <unistd.h>

namespace lovage {
namespace {

using namespace std::chrono_literals;

struct Arguments {
    std::string folder;
    std::chrono::milliseconds lease;
    std::string mode;
    std::string queue;
    std::size_t count;
};

std::atomic<bool> told{false};  ///< Something came on standard input.
std::atomic<bool> input_ended{false};

void say(const std::string& line) {
    std::fputs((line + "\n").c_str(), stdout);
    std::fflush(stdout);
}

int die(const Error& error) {
    say("error " + error.message());
    return 1;
}

Awaitable<int> publish(Broker* broker, Arguments arguments) {
    for (std::size_t i = 0; i < arguments.count; ++i) {
        const auto sent = co_await broker->publish(
            {.routing_key = arguments.queue, .message = {.body = std::to_string(i)}},
            Deadline::in(30s));
        if (!sent) co_return die(sent.error());
        say("sent " + std::to_string(i));
    }
    co_return 0;
}

Awaitable<int> work(Broker* broker, Arguments arguments) {
    auto consumer =
        co_await broker->consume({.queues = {arguments.queue}, .prefetch = 10}, Deadline::in(30s));
    if (!consumer) co_return die(consumer.error());
    say("ready");
    while (!input_ended) {
        const auto got = co_await (*consumer)->receive(Deadline::in(50ms));
        if (!got && got.error().code == Errc::deadline_exceeded) continue;
        if (!got) co_return die(got.error());
        for (const Delivery& delivery : *got) (*consumer)->ack(delivery.tag);
        const auto flushed = co_await (*consumer)->flush(Deadline::in(30s));
        if (!flushed) co_return die(flushed.error());
        for (const Delivery& delivery : *got) say("done " + delivery.message.body);
    }
    co_return 0;
}

Awaitable<int> hold(Broker* broker, Arguments arguments) {
    auto consumer = co_await broker->consume(
        {.queues = {arguments.queue}, .prefetch = static_cast<std::uint32_t>(arguments.count)},
        Deadline::in(30s));
    if (!consumer) co_return die(consumer.error());
    std::vector<DeliveryTag> tags;
    while (tags.size() < arguments.count) {
        const auto got = co_await (*consumer)->receive(Deadline::in(30s));
        if (!got) co_return die(got.error());
        for (const Delivery& delivery : *got) tags.push_back(delivery.tag);
    }
    say("holding");
    while (!told) {  // prefetch is used up
        const auto got = co_await (*consumer)->receive(Deadline::in(50ms));
        if (!got && got.error().code == Errc::disconnected) say("lost");
    }
    for (const DeliveryTag& tag : tags) (*consumer)->ack(tag);
    const auto flushed = co_await (*consumer)->flush(Deadline::in(30s));
    if (!flushed) co_return die(flushed.error());
    say("stale " + std::to_string((*consumer)->stale_settlements()));
    co_return 0;
}

/// Publishes until the disk is full, settles what it can, and publishes again after space was made.
Awaitable<int> fill(Broker* broker, Arguments arguments) {
    const auto declared =
        co_await broker->declare_queue({.name = arguments.queue}, Deadline::in(30s));
    if (!declared) co_return die(declared.error());
    auto consumer =
        co_await broker->consume({.queues = {arguments.queue}, .prefetch = 10}, Deadline::in(30s));
    if (!consumer) co_return die(consumer.error());
    std::size_t sent = 0;
    while (true) {
        const auto published = co_await broker->publish(
            {.routing_key = arguments.queue, .message = {.body = std::string(50'000, 'x')}},
            Deadline::in(30s));
        if (!published) {
            say("refused " + published.error().message());
            break;
        }
        ++sent;
    }
    say("accepted " + std::to_string(sent));
    std::size_t settled = 0;
    while (settled < sent) {
        const auto got = co_await (*consumer)->receive(Deadline::in(30s));
        if (!got) co_return die(got.error());
        for (const Delivery& delivery : *got) (*consumer)->ack(delivery.tag);
        const auto flushed = co_await (*consumer)->flush(Deadline::in(30s));
        if (!flushed) co_return die(flushed.error());
        settled += got->size();
    }
    say("settled " + std::to_string(settled));
    const Deadline limit = Deadline::in(30s);
    while (!limit.passed()) {
        const auto published = co_await broker->publish(
            {.routing_key = arguments.queue, .message = {.body = std::string(50'000, 'x')}}, limit);
        if (published) {
            say("accepted again");
            co_return 0;
        }
    }
    say("never accepted again");
    co_return 1;
}

/// A small file system that only this process sees; false where the kernel does not allow it.
bool mount_small_file_system(const std::string& folder, const std::string& kib) {
    if (unshare(CLONE_NEWNS) != 0 && unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0) return false;
    (void)mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr);
    return mount("tmpfs", folder.c_str(), "tmpfs", 0, ("size=" + kib + "k").c_str()) == 0;
}

Awaitable<int> run(Executor executor, Arguments arguments) {
    auto broker = make_sqlite_broker(
        executor,
        {.folder = arguments.folder, .lease = arguments.lease, .renew_every = arguments.lease / 3});
    int status = 1;
    if (const auto connected = co_await broker->connect(Deadline::in(30s)); !connected) {
        co_return die(connected.error());
    }
    if (arguments.mode == "publish") status = co_await publish(broker.get(), arguments);
    if (arguments.mode == "work") status = co_await work(broker.get(), arguments);
    if (arguments.mode == "hold") status = co_await hold(broker.get(), arguments);
    if (arguments.mode == "fill") status = co_await fill(broker.get(), arguments);
    co_await broker->close(Deadline::in(30s));
    co_return status;
}

}  // namespace
}  // namespace lovage

int main(int argc, char** argv) {
    if (argc != 6) return 2;
    lovage::Arguments arguments{.folder = argv[1],
                                .lease = std::chrono::milliseconds{std::atoi(argv[2])},
                                .mode = argv[3],
                                .queue = argv[4],
                                .count = static_cast<std::size_t>(std::atoll(argv[5]))};
    if (arguments.mode == "fill") {
        const std::string kib = arguments.folder;
        arguments.folder = (std::filesystem::temp_directory_path() / "lovage-fill-XXXXXX").string();
        if (mkdtemp(arguments.folder.data()) == nullptr ||
            !lovage::mount_small_file_system(arguments.folder, kib)) {
            lovage::say("cannot mount");
            return 0;
        }
        arguments.lease = std::chrono::milliseconds{15'000};
    }
    std::thread watcher;
    if (arguments.mode == "work" || arguments.mode == "hold") {
        watcher = std::thread{[] {
            char byte = 0;
            while (read(STDIN_FILENO, &byte, 1) > 0) lovage::told = true;
            lovage::told = true;
            lovage::input_ended = true;
        }};
    }
    lovage::Loop loop{"peer"};
    loop.start();
    const int status = loop.run_blocking(lovage::run(loop.executor(), arguments));
    if (watcher.joinable()) watcher.join();
    if (arguments.mode == "fill") {
        (void)umount2(arguments.folder.c_str(), MNT_DETACH);
        (void)rmdir(arguments.folder.c_str());
    }
    return status;
}
