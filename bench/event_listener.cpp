// Somebody who listens to all events, as Flower's queue is made and bound, with nothing done about
// them: so that a broker has to deliver them, and this machine's processors are the workers'.
//
//     event_listener AMQP_HOST:PORT FILE    until SIGTERM; FILE then has the counts as JSON
#include "bare_amqp.hpp"

#include <array>
#include <atomic>
#include <csignal>
#include <cstdio>
#include <string>
#include <string_view>

#include <sys/time.h>

namespace {

using bench::bytes;

constexpr const char* kExchange = "celeryev";
constexpr const char* kQueue = "celeryev.bench";
// Of a handler that may only touch this.
volatile std::sig_atomic_t stopped =
    0;  // NOLINT(cppcoreguidelines-avoid-non-const-global-variables)

void listen(const bench::Amqp& amqp) {
    amqp_exchange_declare(amqp.state(), 1, bytes(kExchange), bytes("topic"), 0, 1, 0, 0,
                          amqp_empty_table);
    amqp.check("the exchange of the events cannot be declared");
    std::array<amqp_table_entry_t, 2> arguments{};
    arguments[0] = {bytes("x-expires"), {AMQP_FIELD_KIND_I32, {}}};
    arguments[0].value.value.i32 = 60'000;
    arguments[1] = {bytes("x-message-ttl"), {AMQP_FIELD_KIND_I32, {}}};
    arguments[1].value.value.i32 = 5'000;
    amqp_queue_declare(amqp.state(), 1, bytes(kQueue), 0, 0, 0, 1,
                       {static_cast<int>(arguments.size()), arguments.data()});
    amqp.check("the queue of the events cannot be declared");
    amqp_queue_bind(amqp.state(), 1, bytes(kQueue), bytes(kExchange), bytes("#"), amqp_empty_table);
    amqp_basic_consume(amqp.state(), 1, bytes(kQueue), amqp_empty_bytes, 0, 1, 0, amqp_empty_table);
    amqp.check("the events cannot be consumed");
}

long events_in(std::string_view body) {
    constexpr std::string_view kStart = "\"type\": \"task-";
    long events = 0;
    for (std::size_t at = body.find(kStart); at != std::string_view::npos;
         at = body.find(kStart, at + kStart.size())) {
        ++events;
    }
    return events;
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 3) {
        std::fprintf(stderr, "usage: event_listener AMQP FILE\n");
        return 2;
    }
    std::signal(SIGTERM, [](int) { stopped = 1; });
    const bench::Amqp amqp{bench::Address{argv[1]}};
    listen(amqp);
    long messages = 0;
    long events = 0;
    while (stopped == 0) {
        amqp_envelope_t envelope;
        amqp_maybe_release_buffers(amqp.state());
        timeval timeout{0, 100'000};
        const auto reply = amqp_consume_message(amqp.state(), &envelope, &timeout, 0);
        if (reply.reply_type != AMQP_RESPONSE_NORMAL) {
            if (reply.library_error == AMQP_STATUS_TIMEOUT) continue;
            bench::give_up("the connection was lost");
        }
        ++messages;
        const amqp_bytes_t body = envelope.message.body;
        events += events_in({static_cast<const char*>(body.bytes), body.len});
        amqp_destroy_envelope(&envelope);
    }
    std::FILE* const file = std::fopen(argv[2], "w");
    if (file == nullptr) bench::give_up("the counts cannot be written");
    std::fprintf(file, "{\"messages\": %ld, \"events\": %ld}\n", messages, events);
    std::fclose(file);
    return 0;
}
