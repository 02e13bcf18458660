// The yardsticks for canvas_tasks: what RabbitMQ itself takes, with librabbitmq and the bytes of a
// task's message (bare_amqp.hpp).
//
//     canvas_limit AMQP_HOST:PORT burst|alone COUNT ROUNDS   COUNT confirmed publishes, as many
//     under
//                                                         way as the bare loop has anywhere, or one
//     canvas_limit AMQP_HOST:PORT hop COUNT ROUNDS        COUNT messages, each published when the
//     one
//                                                         before was consumed, and acknowledged
//     canvas_limit AMQP_HOST:PORT chain COUNT ROUNDS      the same with the sizes of a chain's
//     messages,
//                                                         each of which carries the steps that are
//                                                         left; mandatory, confirmed, and with a
//                                                         connection each for publishing and
//                                                         consuming
//
// One line of JSON: seconds a round, the median.
#include "bare_amqp.hpp"
#include "measure.hpp"

#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

namespace {

using bench::Amqp;
using bench::bytes;
using bench::Clock;
using bench::seconds_since;

constexpr const char* kQueue = "canvas-limit";

double publish_round(const Amqp& amqp, bench::ConfirmedPublisher& publisher, long count,
                     long unconfirmed_max) {
    const auto start = Clock::now();
    publisher.publish(count, unconfirmed_max);
    const double seconds = seconds_since(start);
    amqp_queue_purge(amqp.state(), 1, bytes(kQueue));
    return seconds;
}

/// Of one more step in the messages before it, as Celery writes it.
constexpr std::size_t kStepBytes = 200;
/// Confirms are read when that many are open: nobody waits for one.
constexpr long kConfirmsOpen = 100;

void consume_one(const Amqp& amqp) {
    amqp_envelope_t envelope;
    amqp_maybe_release_buffers(amqp.state());
    if (amqp_consume_message(amqp.state(), &envelope, nullptr, 0).reply_type !=
        AMQP_RESPONSE_NORMAL) {
        bench::give_up("the connection was lost");
    }
    amqp_basic_ack(amqp.state(), 1, envelope.delivery_tag, 0);
    amqp_destroy_envelope(&envelope);
}

double hop_round(const Amqp& amqp, long count) {
    static const bench::Headers headers;
    static const std::string body(bench::kBodyBytes, 'x');
    const auto start = Clock::now();
    for (long i = 0; i < count; ++i) {
        amqp_basic_publish(amqp.state(), 1, amqp_empty_bytes, bytes(kQueue), 0, 0,
                           &headers.properties(), bytes(body));
        consume_one(amqp);
    }
    return seconds_since(start);
}

double chain_round(bench::ConfirmedPublisher& publisher, const Amqp& consumer, long count) {
    const auto start = Clock::now();
    for (long left = count - 1; left >= 0; --left) {
        publisher.set_body(bench::kBodyBytes + kStepBytes * static_cast<std::size_t>(left));
        publisher.publish_one(kConfirmsOpen);
        consume_one(consumer);
    }
    return seconds_since(start);
}

void consume(const Amqp& amqp) {
    amqp_basic_consume(amqp.state(), 1, bytes(kQueue), amqp_empty_bytes, 0, 0, 0, amqp_empty_table);
    amqp.check("the queue cannot be consumed");
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 5) {
        std::fprintf(stderr, "usage: canvas_limit AMQP burst|alone|hop|chain COUNT ROUNDS\n");
        return 2;
    }
    const Amqp amqp{bench::Address{argv[1]}};
    const std::string mode = argv[2];
    const long count = std::atol(argv[3]);
    const long rounds = std::atol(argv[4]);
    bench::fresh_queue(amqp, kQueue);
    std::vector<double> seconds;
    if (mode == "hop") {
        consume(amqp);
        for (long i = 0; i < rounds; ++i) seconds.push_back(hop_round(amqp, count));
    } else if (mode == "chain") {
        const Amqp consumer{bench::Address{argv[1]}};
        consume(consumer);
        bench::ConfirmedPublisher publisher{amqp, kQueue};
        for (long i = 0; i < rounds; ++i) {
            seconds.push_back(chain_round(publisher, consumer, count));
        }
        publisher.publish(0);
    } else {
        bench::ConfirmedPublisher publisher{amqp, kQueue};
        const long most = mode == "alone" ? 1 : bench::kUnconfirmedMax;
        for (long i = 0; i < rounds; ++i) {
            seconds.push_back(publish_round(amqp, publisher, count, most));
        }
    }
    amqp_queue_delete(amqp.state(), 1, bytes(kQueue), 0, 0);
    std::printf("{\"seconds\": %.6f}\n", bench::median(std::move(seconds)));
    return 0;
}
