// The yardstick for rabbitmq_tasks: a bare loop on RabbitMQ and Redis with librabbitmq and hiredis.
// It moves the bytes a task moves (1 KiB: Celery's 19 headers, among them the arguments as text,
// and the body; then a result record) and knows nothing of tasks, queues of work, reconnects or
// errors.
//
//     rabbitmq_limit AMQP_HOST:PORT REDIS_HOST:PORT MODE MESSAGES [PREFETCH]
//
//   publish   persistent, mandatory, confirmed, at most 200 unconfirmed at a time
//   drain     fills the queue, then: consume, SET the result, acknowledge what Redis has
//   together  both at once, on two threads
//   paced     MESSAGES publishes of 32 clients with random pauses, about PREFETCH a second: latency
//
// One line of JSON: rates a second, CPU microseconds a message.
#include "bare_amqp.hpp"
#include "measure.hpp"

#include <hiredis/hiredis.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <functional>
#include <queue>
#include <random>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace {

using bench::Address;
using bench::Amqp;
using bench::bytes;
using bench::Clock;
using bench::ConfirmedPublisher;
using bench::cpu_seconds;
using bench::give_up;
using bench::Headers;
using bench::kBodyBytes;
using bench::seconds_since;

/// Deliveries whose results travel to Redis together, when that many are there.
constexpr std::size_t kBatchMax = 128;
constexpr const char* kQueue = "lovage-limit";

double publish(const Amqp& amqp, long count) {
    ConfirmedPublisher publisher{amqp, kQueue};
    const auto start = Clock::now();
    publisher.publish(count);
    return static_cast<double>(count) / seconds_since(start);
}

class Redis {
public:
    explicit Redis(const Address& address)
        : context_{redisConnect(address.host.c_str(), address.port)} {
        if (context_ == nullptr || context_->err != 0) give_up("cannot connect to Redis");
    }
    ~Redis() { redisFree(context_); }
    Redis(const Redis&) = delete;
    Redis& operator=(const Redis&) = delete;

    void append_set(const std::string& key, const std::string& value) {
        redisAppendCommand(context_, "SET %b %b EX 86400", key.data(), key.size(), value.data(),
                           value.size());
        ++pending_;
    }
    void await_replies() {
        for (; pending_ > 0; --pending_) {
            void* reply = nullptr;
            if (redisGetReply(context_, &reply) != REDIS_OK) give_up("Redis was lost");
            freeReplyObject(reply);
        }
    }

private:
    redisContext* context_;
    std::size_t pending_ = 0;
};

double drain(const Amqp& amqp, Redis& redis, long count, long prefetch) {
    amqp_basic_qos(amqp.state(), 1, 0, static_cast<std::uint16_t>(prefetch), 0);
    amqp_basic_consume(amqp.state(), 1, bytes(kQueue), amqp_empty_bytes, 0, 0, 0, amqp_empty_table);
    const std::string result =
        R"({"status": "SUCCESS", "result": null, "traceback": null, )"
        R"("children": [], "date_done": "2026-11-21T16:27:00.818150+00:00", )"
        R"("task_id": "8e4c6bc7-e8b0-49d1-8ab7-3b8ffb362a9d"})";
    const auto start = Clock::now();
    long got = 0;
    while (got < count) {
        std::uint64_t last_tag = 0;
        std::size_t batch = 0;
        do {
            amqp_envelope_t envelope;
            amqp_maybe_release_buffers(amqp.state());
            if (amqp_consume_message(amqp.state(), &envelope, nullptr, 0).reply_type !=
                AMQP_RESPONSE_NORMAL) {
                give_up("the connection was lost");
            }
            last_tag = envelope.delivery_tag;
            amqp_destroy_envelope(&envelope);
            redis.append_set("celery-task-meta-8e4c6bc7-e8b0-49d1-8ab7-" + std::to_string(got),
                             result);
            ++got;
            ++batch;
        } while (
            batch < kBatchMax && got < count &&
            (amqp_data_in_buffer(amqp.state()) != 0 || amqp_frames_enqueued(amqp.state()) != 0));
        redis.await_replies();
        amqp_basic_ack(amqp.state(), 1, last_tag, 1);
    }
    return static_cast<double>(count) / seconds_since(start);
}

/// Clients that each publish, wait for the confirm, and pause for a random time: the way requests
/// come to an endpoint. All share one connection, as the requests of one process do.
class PacedClients {
public:
    PacedClients(const Amqp& amqp, long count, long rate)
        : amqp_{amqp},
          left_{count},
          pause_{static_cast<double>(kClients) / static_cast<double>(rate)} {
        amqp_confirm_select(amqp.state(), 1);
        for (std::size_t i = 0; i < kClients; ++i) rest();
    }

    /// The 99th percentile of the time from a publish to its confirm, in milliseconds.
    double run() {
        while (left_ > 0 || !unconfirmed_.empty()) {
            publish_due();
            take_confirms();
        }
        std::ranges::sort(milliseconds_);
        return milliseconds_[milliseconds_.size() * 99 / 100];
    }

private:
    static constexpr std::size_t kClients = 32;

    void rest() {
        std::uniform_real_distribution<double> length{0, 2 * pause_};
        due_.push(Clock::now() + std::chrono::duration_cast<Clock::duration>(
                                     std::chrono::duration<double>{length(random_)}));
    }
    void publish_due() {
        while (left_ > 0 && !due_.empty() && due_.top() <= Clock::now()) {
            due_.pop();
            --left_;
            unconfirmed_.push_back(Clock::now());
            amqp_basic_publish(amqp_.state(), 1, amqp_empty_bytes, bytes(kQueue), 1, 0,
                               &headers_.properties(), bytes(body_));
        }
    }
    /// Waits until the next publish is due, or a frame has come.
    void take_confirms() {
        constexpr auto kLongest = std::chrono::microseconds{100'000};
        auto wait = kLongest;
        if (left_ > 0 && !due_.empty()) {
            wait = std::clamp(
                std::chrono::duration_cast<std::chrono::microseconds>(due_.top() - Clock::now()),
                std::chrono::microseconds{0}, kLongest);
        }
        timeval timeout{0, static_cast<suseconds_t>(wait.count())};
        amqp_frame_t frame;
        const int status = amqp_simple_wait_frame_noblock(amqp_.state(), &frame, &timeout);
        if (status == AMQP_STATUS_TIMEOUT) return;
        if (status != AMQP_STATUS_OK) give_up("the connection was lost");
        if (frame.frame_type != AMQP_FRAME_METHOD ||
            frame.payload.method.id != AMQP_BASIC_ACK_METHOD)
            return;
        const auto* ack = static_cast<amqp_basic_ack_t*>(frame.payload.method.decoded);
        // RabbitMQ confirms the publishes of one queue in their order.
        for (; confirmed_ < ack->delivery_tag && !unconfirmed_.empty(); ++confirmed_) {
            milliseconds_.push_back(seconds_since(unconfirmed_.front()) * 1e3);
            unconfirmed_.pop_front();
            rest();
        }
        amqp_maybe_release_buffers(amqp_.state());
    }

    const Amqp& amqp_;
    const Headers headers_;
    const std::string body_ = std::string(kBodyBytes, 'x');
    long left_;
    double pause_;
    std::minstd_rand random_{1};
    std::priority_queue<Clock::time_point, std::vector<Clock::time_point>, std::greater<>> due_;
    std::deque<Clock::time_point> unconfirmed_;
    std::uint64_t confirmed_ = 0;
    std::vector<double> milliseconds_;
};

}  // namespace

int main(int argc, char** argv) {
    if (argc < 5) {
        std::fprintf(stderr,
                     "usage: rabbitmq_limit AMQP REDIS publish|drain|together|paced COUNT "
                     "[PREFETCH|RATE]\n");
        return 2;
    }
    const Address broker{argv[1]};
    const std::string mode = argv[3];
    const long count = std::atol(argv[4]);
    const long number = argc > 5 ? std::atol(argv[5]) : 512;
    const Amqp producer{broker};
    bench::fresh_queue(producer, kQueue);
    double cpu = cpu_seconds();
    double rate = 0;
    if (mode == "publish") {
        rate = publish(producer, count);
    } else if (mode == "paced") {
        std::printf("{\"p99_ms\": %.3f}\n", PacedClients{producer, count, number}.run());
        return 0;
    } else {
        Redis redis{Address{argv[2]}};
        const Amqp consumer{broker};
        if (mode == "drain") {
            publish(producer, count);
            cpu = cpu_seconds();
            rate = drain(consumer, redis, count, number);
        } else {
            std::thread publishing{[&] { publish(producer, count); }};
            rate = drain(consumer, redis, count, number);
            publishing.join();
        }
    }
    cpu = cpu_seconds() - cpu;
    amqp_queue_delete(producer.state(), 1, bytes(kQueue), 0, 0);
    std::printf("{\"per_second\": %.1f, \"cpu_us\": %.2f}\n", rate,
                cpu * 1e6 / static_cast<double>(count));
    return 0;
}
