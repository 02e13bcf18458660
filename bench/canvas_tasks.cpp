// The program whose workflows `./dev bench canvas` measures: a worker like any other
// (lovage::main), and beside it
//
//     canvas_tasks chord MEMBERS          a group of no-ops and a body, from the send to the result
//     canvas_tasks chain STEPS ROUNDS     the same of a chain; the median of the rounds
//     canvas_tasks burst MEMBERS ROUNDS   the sending of a group alone; nobody shall consume
//     canvas_tasks send CANVAS            one of the canvases whose bytes are counted
//
// Broker, results and queue as for a worker. One line of JSON.
#include "measure.hpp"
#include "send_tasks.hpp"

#include <lovage/lovage.hpp>
#include <lovage/worker/prefork/slot_start.hpp>

#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

using namespace std::chrono_literals;

namespace {

using bench::Clock;
using bench::seconds_since;
using Values = std::vector<lovage::Json>;

constexpr auto kPatience = 120s;

void noop(std::int64_t /*number*/) {}
std::int64_t step(std::int64_t value) {
    return value + 1;
}
std::int64_t total(const Values& values) {
    return static_cast<std::int64_t>(values.size());
}
void keep(const std::string& /*payload*/) {}

using Call = lovage::Canvas<>;

/// Calls of the tasks, whose names are those of peers/celery_canvas.py. All go to the default
/// queue.
struct Calls {
    [[nodiscard]] Call noop(std::int64_t number) const { return app.signature("noop", number); }
    [[nodiscard]] Call step() const { return app.signature("step"); }
    [[nodiscard]] Call step(std::int64_t value) const { return app.signature("step", value); }
    [[nodiscard]] Call total() const { return app.signature("total"); }
    [[nodiscard]] std::vector<Call> members(std::int64_t count) const {
        std::vector<Call> all;
        for (std::int64_t i = 0; i < count; ++i) all.push_back(noop(i));
        return all;
    }
    [[nodiscard]] Call chain(std::int64_t steps) const {
        Call all = step(0);
        for (std::int64_t i = 1; i < steps; ++i) all = all | step();
        return all;
    }
    lovage::App& app;
};

[[noreturn]] void give_up(std::string_view what) {
    std::cerr << "canvas_tasks: " << what << '\n';
    std::exit(1);
}

void chord(const Calls& calls, std::int64_t members) {
    (void)calls.noop(0).delay().get(kPatience);  // connected, and a worker is there
    const auto start = Clock::now();
    const auto canvas = lovage::chord(calls.members(members), calls.total());
    const auto result = canvas.delay();
    const double sent = seconds_since(start);
    const lovage::Json all = result.get(kPatience);
    const double seconds = seconds_since(start);
    if (all != lovage::Json{members})
        give_up("the chord's body did not get what its parts returned");
    std::cout << "{\"seconds\": " << seconds << ", \"send_seconds\": " << sent << "}\n";
}

void chain(const Calls& calls, std::int64_t steps, long rounds) {
    std::vector<double> seconds;
    const auto canvas = calls.chain(steps);
    (void)canvas.delay().get(kPatience);
    for (long round = 0; round < rounds; ++round) {
        const auto start = Clock::now();
        const lovage::Json last = canvas.delay().get(kPatience);
        seconds.push_back(seconds_since(start));
        if (last != lovage::Json{steps}) give_up("the chain did not count its steps");
    }
    std::cout << "{\"seconds\": " << bench::median(std::move(seconds)) << "}\n";
}

void burst(const Calls& calls, std::int64_t members, long rounds) {
    bench::empty_queue(calls.app);
    std::vector<double> seconds;
    const std::string payload(bench::kPayloadBytes, 'x');
    const std::vector<Call> all(static_cast<std::size_t>(members),
                                calls.app.signature("keep", payload));
    for (long round = 0; round < rounds; ++round) {
        const auto start = Clock::now();
        (void)lovage::group(all).delay();
        seconds.push_back(seconds_since(start));
        bench::empty_queue(calls.app);
    }
    std::cout << "{\"seconds\": " << bench::median(std::move(seconds)) << "}\n";
}

/// Those of peers/celery_canvas.py under the same names.
void send(const Calls& calls, std::string_view canvas) {
    const Call total = calls.total();
    if (canvas == "group of 10") {
        (void)lovage::group(calls.members(10)).delay();
    } else if (canvas == "chord of 10") {
        (void)lovage::chord(calls.members(10), total).delay();
    } else if (canvas == "chain of 100") {
        (void)calls.chain(100).delay();
    } else if (canvas == "chord in a chain") {
        const auto parts = lovage::group(std::vector<Call>(10, calls.step()));
        (void)(calls.step(1) | parts | total | calls.step()).delay();
    } else if (canvas == "map of 100") {
        lovage::Json numbers = lovage::Json::array();
        for (std::int64_t i = 0; i < 100; ++i) numbers.as_array().push_back(i);
        (void)lovage::map(calls.step(), std::move(numbers)).delay();
    } else {
        give_up("there is no such canvas");
    }
}

}  // namespace

int main(int argc, char** argv) {
    lovage::App app{"canvas-tasks"};
    app.task("noop", noop, lovage::arg("number"));
    app.task("step", step, lovage::arg("value"));
    app.task("total", total, lovage::arg("values"));
    app.task("keep", keep, lovage::arg("payload"));
    const Calls calls{app};
    const std::string_view mode = argc < 3 || lovage::slot::is_slot() ? "" : argv[1];
    if (mode == "chord" || mode == "chain" || mode == "burst" || mode == "send") {
        lovage::log::configure({.level = lovage::log::Level::warning});
        const std::int64_t count = std::atoll(argv[2]);
        const long rounds = argc > 3 ? std::atol(argv[3]) : 1;
        if (mode == "chord") chord(calls, count);
        if (mode == "chain") chain(calls, count, rounds);
        if (mode == "burst") burst(calls, count, rounds);
        if (mode == "send") send(calls, argv[2]);
        return 0;
    }
    return lovage::main(app, argc, argv);
}
