// How many events a second does EventState take, alone and with the reading of their messages? And
// what memory does it need for a task?
//
//     event_state [TASKS]
//
// Three events a task in lists of 24, as a busy worker sends them, of more tasks than are kept.
// Prints one JSON object. Times are this process's processor time: it has one thread.
#include <lovage/events/event.hpp>
#include <lovage/events/event_fields.hpp>
#include <lovage/events/event_state.hpp>

#include <cstddef>
#include <cstdlib>
#include <iostream>
#include <string>
#include <utility>
#include <vector>

#include <malloc.h>

#include "measure.hpp"

namespace {

using bench::cpu_seconds;

constexpr std::size_t kBatch = 24;
constexpr std::size_t kWorkers = 20;

std::string uuid_of(std::size_t number) {
    std::string digits = std::to_string(number);
    return "aaaaaaaa-0000-4000-8000-" + std::string(12 - digits.size(), '0') + digits;
}

class Batches {
public:
    void add(std::size_t worker, std::string_view type, const lovage::EventFields& fields) {
        const lovage::EventSource source{"worker" + std::to_string(worker) + "@host", 4711};
        body_ += gathered_ == 0 ? "[" : ", ";
        ++clock_;
        source.append(body_, type, clock_, 1'795'278'500.25 + static_cast<double>(clock_) / 1e5,
                      fields);
        if (++gathered_ < kBatch) return;
        bodies.push_back(lovage::event_message("worker@host", std::exchange(body_, {}) + "]"));
        gathered_ = 0;
    }
    std::vector<lovage::Message> bodies;

private:
    std::string body_;
    std::size_t gathered_ = 0;
    std::int64_t clock_ = 0;
};

std::vector<lovage::Message> messages_of(std::size_t tasks) {
    Batches batches;
    for (std::size_t i = 0; i < tasks; ++i) {
        const std::string uuid = uuid_of(i);
        lovage::EventFields received;
        received.text("uuid", uuid).text("name", "project.tasks.multiply").text("args", "(21, 2)");
        received.text("kwargs", "{}").text("root_id", uuid).text_or_null("parent_id", "");
        received.integer("retries", 0).text_or_null("eta", "").text_or_null("expires", "");
        lovage::EventFields started;
        started.text("uuid", uuid);
        lovage::EventFields succeeded;
        succeeded.text("uuid", uuid).text("result", "42").real("runtime", 0.00789817);
        batches.add(i % kWorkers, "task-received", received);
        batches.add(i % kWorkers, "task-started", started);
        batches.add(i % kWorkers, "task-succeeded", succeeded);
    }
    return std::move(batches.bodies);
}

}  // namespace

int main(int argc, char** argv) {
    const std::size_t tasks = argc > 1 ? std::strtoull(argv[1], nullptr, 10) : 200'000;
    const std::vector<lovage::Message> messages = messages_of(tasks);
    const double count = static_cast<double>(messages.size() * kBatch);

    double start = cpu_seconds();
    std::vector<lovage::EventBatch> batches;
    batches.reserve(messages.size());
    for (const lovage::Message& message : messages) {
        batches.push_back(lovage::value_or_throw(lovage::decode_events(message)));
    }
    const double reading = cpu_seconds() - start;

    const std::size_t before = mallinfo2().uordblks;
    lovage::EventState state;
    start = cpu_seconds();
    for (const lovage::EventBatch& batch : batches) {
        for (const lovage::Event& event : batch.events) (void)state.apply(event, {});
    }
    const double applying = cpu_seconds() - start;
    std::cout << "{\"events\": " << static_cast<std::size_t>(count)
              << ", \"read_per_second\": " << static_cast<std::size_t>(count / reading)
              << ", \"applied_per_second\": " << static_cast<std::size_t>(count / applying)
              << ", \"bytes_per_task\": " << (mallinfo2().uordblks - before) / state.tasks().size()
              << ", \"both_per_second\": " << static_cast<std::size_t>(count / (reading + applying))
              << "}\n";
}
