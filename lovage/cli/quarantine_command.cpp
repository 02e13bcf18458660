#include <lovage/app/app_core.hpp>
#include <lovage/app/queues.hpp>
#include <lovage/cli/commands.hpp>
#include <lovage/cli/table.hpp>
#include <lovage/core/uuid.hpp>
#include <lovage/runtime/detail/printable.hpp>
#include <lovage/worker/quarantine.hpp>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <optional>
#include <ostream>
#include <set>
#include <string_view>
#include <utility>

#include <fmt/format.h>

namespace lovage::cli {

namespace {

using namespace std::chrono_literals;
using Action = QuarantineArguments::Action;
using CorePtr = std::shared_ptr<AppCore>;

constexpr std::string_view kSuffix = ".quarantine";
/// Most messages one visit can look through: the broker sends them all, to see the last of them.
constexpr std::uint64_t kVisitMax = 10'000;
/// Most of a visit that acts on whatever comes: another goes on where it ends.
constexpr std::uint64_t kActMax = 500;
/// For what comes before the first message, for each message acted on, and for the end.
constexpr auto kQuarantinePatience = 30s;
constexpr auto kReceivePatience = 2s;
/// How often the channel may go in one visit.
constexpr int kBeginAgainMost = 3;

/// A kept message with what people call it by.
struct Kept {
    DeliveryTag tag;
    QuarantineNote note;
    Message message;
    std::string id;
    std::string task;
};

std::string header_text(const Json& headers, std::string_view name) {
    const Json* value = headers.find(name);
    return value != nullptr && value->is_string() ? value->as_string() : std::string{};
}

Kept describe(Delivery delivery) {
    Kept kept;
    kept.tag = delivery.tag;
    kept.note = read_note(delivery.message).value_or(QuarantineNote{});
    if (kept.note.queue.empty()) {
        kept.note.queue = delivery.queue.substr(0, delivery.queue.size() - kSuffix.size());
    }
    if (const auto headers = delivery.message.headers.expanded()) {
        kept.id = header_text(*headers, "id");
        kept.task = header_text(*headers, "task");
    }
    if (kept.id.empty()) kept.id = delivery.message.properties.correlation_id;
    if (kept.id.empty()) {
        // Somebody sent bytes without an id: one made of them is the same at every look.
        constexpr std::string_view kNamespace = "6f5f3f0e-2d1c-5c1e-9f57-3c2b6f0b8a11";
        kept.id = uuid5(kNamespace, to_iso8601(kept.note.time) + delivery.message.body);
    }
    kept.message = std::move(delivery.message);
    return kept;
}

/// Is `id` the message's, or its beginning? An empty one is nobody's.
bool names(const std::string& id, const Kept& kept) {
    return !id.empty() && kept.id.starts_with(id);
}

bool is_wanted(const Kept& kept, const QuarantineArguments& arguments) {
    if (arguments.ids.empty()) return true;
    return std::ranges::any_of(arguments.ids,
                               [&](const std::string& id) { return names(id, kept); });
}

/// Without the message itself, which may be large.
Kept summary(const Kept& kept) {
    return {kept.tag, kept.note, {}, kept.id, kept.task};
}

/// What a visit found and did.
struct Visit {
    std::vector<Kept> messages;  ///< Those that were asked for.
    std::uint64_t done = 0;      ///< Replayed or dropped.
    bool more = false;           ///< There are more than one visit takes.
    /// Of those that were counted: another visitor has them, or has settled them.
    std::uint64_t not_seen = 0;
    /// Whose quarantines were looked into, when there may be others that the broker does not tell.
    std::vector<std::string> only_of;
    std::optional<Error> problem;
};

/// Whose quarantines `arguments` mean, as far as that can be known without asking the broker.
std::vector<std::string> queues_meant(App& app, const QuarantineArguments& arguments) {
    return arguments.queues.empty() ? known_queues(app) : arguments.queues;
}

/// The quarantines of `queues` that are there; with `others`, also all that the broker lists.
Awaitable<Result<std::vector<std::string>>> quarantines(CorePtr core,
                                                        std::vector<std::string> queues,
                                                        bool others, Deadline deadline) {
    std::set<std::string> names;
    for (const std::string& queue : queues) names.insert(quarantine_queue(queue));
    if (others) {
        auto listed = co_await core->broker().list_queues(deadline);
        if (!listed) co_return listed;
        std::erase_if(*listed, [](const std::string& name) { return !name.ends_with(kSuffix); });
        names.insert(listed->begin(), listed->end());
    }
    std::vector<std::string> found;
    for (const std::string& name : names) {
        const auto status = co_await core->broker().queue_status(name, deadline);
        if (status) {
            found.push_back(name);
        } else if (status.error().code != Errc::not_found) {
            co_return std::unexpected{status.error()};
        }
    }
    co_return found;
}

Awaitable<Result<std::uint64_t>> count_ready(CorePtr core, std::vector<std::string> queues,
                                             Deadline deadline) {
    std::uint64_t total = 0;
    for (const std::string& queue : queues) {
        const auto status = co_await core->broker().queue_status(queue, deadline);
        if (!status) co_return std::unexpected{status.error()};
        total += status->ready;
    }
    co_return total;
}

/// Carries one action out on one message. It is settled only after the replay is confirmed.
Awaitable<Result<void>> act(CorePtr core, Consumer* consumer, Kept kept, Action action,
                            Deadline deadline) {
    if (action == Action::replay) {
        // The queue may have been deleted meanwhile.
        auto declared = co_await core->broker().declare_queue(
            task_queue(core->settings(), kept.note.queue), deadline);
        // One that was made otherwise will do.
        if (!declared && declared.error().code != Errc::conflict) co_return declared;
        auto sent =
            co_await core->broker().publish(from_quarantine(kept.message, kept.note), deadline);
        if (!sent) co_return sent;
    }
    consumer->ack(kept.tag);
    co_return Result<void>{};
}

/// Takes up to `expected` messages, and acts on those that are asked for. The others, and all of
/// them after `list` and `show`, go back when the consumer closes.
Awaitable<Visit> take(CorePtr core, Consumer* consumer, QuarantineArguments arguments,
                      std::uint64_t expected) {
    Visit visit;
    int begun_again = 0;
    for (std::uint64_t seen = 0; seen < expected;) {
        const bool new_channel = seen == visit.done && begun_again > 0;
        auto deliveries = co_await consumer->receive(
            Deadline::in(new_channel ? kQuarantinePatience : kReceivePatience));
        if (!deliveries) {
            // RabbitMQ closes the channel of one that does not know yet that a queue is a quorum
            // queue. The consumer has asked again by itself, in the way such queues want; what
            // it had comes again, but for what was acted on.
            if (deliveries.error().code == Errc::disconnected && begun_again++ < kBeginAgainMost) {
                if (visit.done == 0) visit.messages.clear();
                seen = visit.done;
                continue;
            }
            if (deliveries.error().code == Errc::deadline_exceeded) {
                visit.not_seen = expected - seen;
            } else {
                visit.problem = deliveries.error();
            }
            break;
        }
        seen += deliveries->size();
        for (Delivery& delivery : *deliveries) {
            Kept kept = describe(std::move(delivery));
            if (!is_wanted(kept, arguments)) continue;
            visit.messages.push_back(arguments.action == Action::show ? kept : summary(kept));
            if (arguments.action == Action::list || arguments.action == Action::show) continue;
            auto acted = co_await act(core, consumer, std::move(kept), arguments.action,
                                      Deadline::in(kQuarantinePatience));
            if (!acted) {
                visit.problem = std::move(acted.error());
                co_return visit;
            }
            ++visit.done;
        }
    }
    co_return visit;
}

/// `arguments.queues` are those that queues_meant() says; `others`: and whatever the broker lists.
Awaitable<Result<Visit>> visit_quarantines(CorePtr core, QuarantineArguments arguments,
                                           bool others) {
    const Deadline deadline = Deadline::in(kQuarantinePatience);
    if (auto connected = co_await core->connect(deadline); !connected) {
        co_return std::unexpected{std::move(connected.error())};
    }
    auto queues = co_await quarantines(core, arguments.queues, others, deadline);
    if (!queues) co_return std::unexpected{std::move(queues.error())};
    const auto ready = co_await count_ready(core, *queues, deadline);
    if (!ready) co_return std::unexpected{ready.error()};
    std::vector<std::string> only_of;
    if (others && !core->broker().lists_all_queues()) only_of = arguments.queues;
    if (*ready == 0) co_return Visit{.only_of = std::move(only_of)};

    const bool acts_on_all =
        arguments.all && (arguments.action == Action::replay || arguments.action == Action::drop);
    const std::uint64_t expected = std::min(*ready, acts_on_all ? kActMax : kVisitMax);
    ConsumeOptions consume{std::move(*queues), static_cast<std::uint32_t>(expected), "quarantine"};
    auto consumer = co_await core->broker().consume(std::move(consume), deadline);
    if (!consumer) co_return std::unexpected{std::move(consumer.error())};
    Visit visit = co_await take(core, consumer->get(), std::move(arguments), expected);
    visit.more = *ready > expected;
    visit.only_of = std::move(only_of);
    auto closed = co_await (*consumer)->close(Deadline::in(kQuarantinePatience));
    if (!closed && !visit.problem) visit.problem = std::move(closed.error());
    co_return visit;
}

/// A broker that does not tell its queues' names leaves it to the user to name some.
void print_where(std::ostream& out, const Visit& visit) {
    if (visit.not_seen != 0) {
        out << "Not seen: " << count_of(visit.not_seen, "message")
            << " that somebody else looks at, or has taken away.\n";
    }
    if (visit.only_of.empty()) return;
    out << "The broker does not list its queues; this is about "
        << lovage::detail::printable_line(fmt::format("{}", fmt::join(visit.only_of, ", ")))
        << ". Name others with -Q.\n";
}

void print_nothing(Console& console, const Visit& visit) {
    console.out << "Nothing is in quarantine.\n";
    print_where(console.out, visit);
}

void print_list(Console& console, const Visit& visit) {
    if (visit.messages.empty()) return print_nothing(console, visit);
    Table table{{{"time"}, {"reason"}, {"queue"}, {"task"}, {"id"}}};
    for (const Kept& kept : visit.messages) {
        table.add_row({to_iso8601(std::chrono::floor<std::chrono::seconds>(kept.note.time)),
                       kept.note.reason, kept.note.queue, kept.task, kept.id});
    }
    console.out
        << table.text() << '\n'
        << count_of(visit.messages.size(), "message") << " in quarantine"
        << (visit.more ? ", and more" : "")
        << ". `quarantine show ID` shows one, `replay ID` sends it again, `drop ID` erases it.\n";
    print_where(console.out, visit);
}

void print_message(Console& console, const Kept& kept) {
    constexpr std::size_t kBodyShownMax = 4096;
    const MessageProperties& properties = kept.message.properties;
    const auto line = [&](const char* name, std::string_view value) {
        console.out << fmt::format("{:<9} {}\n", name, lovage::detail::printable_line(value));
    };
    line("id", kept.id);
    line("task", kept.task);
    line("reason", kept.note.reason);
    line("detail", kept.note.detail);
    line("queue", kept.note.queue);
    line("worker", kept.note.worker);
    line("time", to_iso8601(kept.note.time));
    line("content", fmt::format("{}, {}, {}", properties.content_type, properties.content_encoding,
                                count_of(kept.message.body.size(), "byte")));
    line("headers", to_json_text(kept.message.headers));
    const std::string_view body = kept.message.body;
    line("body", body.substr(0, kBodyShownMax));
    if (body.size() > kBodyShownMax) {
        line("", fmt::format("… ({} more)", count_of(body.size() - kBodyShownMax, "byte")));
    }
    console.out << '\n';
}

void print(Console& console, const QuarantineArguments& arguments, const Visit& visit) {
    switch (arguments.action) {
        case Action::list:
            print_list(console, visit);
            break;
        case Action::show:
            for (const Kept& kept : visit.messages) print_message(console, kept);
            break;
        case Action::replay:
            console.out << "Replayed " << count_of(visit.done, "message") << ".\n";
            break;
        case Action::drop:
            console.out << "Dropped " << count_of(visit.done, "message") << ".\n";
            break;
    }
    if (arguments.all) print_where(console.out, visit);
}

/// True when every id that was given belongs to a message; names those that do not.
bool all_found(Console& console, const QuarantineArguments& arguments, const Visit& visit) {
    bool found_all = true;
    for (const std::string& id : arguments.ids) {
        const bool found =
            std::ranges::any_of(visit.messages, [&](const Kept& kept) { return names(id, kept); });
        if (found) continue;
        console.err << "Error: no message '" << lovage::detail::printable_line(id)
                    << "' is in quarantine\n";
        found_all = false;
    }
    if (!found_all) print_where(console.err, visit);
    return found_all;
}

}  // namespace

int run_quarantine(App& app, const QuarantineArguments& arguments, Console& console) {
    const auto visit_once = [&app](QuarantineArguments wanted) {
        const bool others = wanted.queues.empty();
        wanted.queues = queues_meant(app, wanted);
        return app.core()->loop().run_blocking(
            visit_quarantines(app.core(), std::move(wanted), others));
    };
    if (arguments.action == Action::drop && arguments.all && !arguments.force) {
        QuarantineArguments look = arguments;
        look.action = Action::list;
        const auto there = visit_once(std::move(look));
        if (!there) return report(console, there.error());
        if (there->problem) return report(console, *there->problem);
        if (there->messages.empty()) {
            print_nothing(console, *there);
            return kSuccess;
        }
        if (!confirm(console, fmt::format("Erase {} for good?",
                                          count_of(there->messages.size(), "message")))) {
            console.err << "Nothing was erased.\n";
            return kFailure;
        }
    }
    auto visit = visit_once(arguments);
    // "All" may be more than one visit takes.
    while (visit && arguments.all && visit->more && visit->done != 0 && !visit->problem) {
        const std::uint64_t done = visit->done;
        visit = visit_once(arguments);
        if (visit) visit->done += done;
    }
    if (!visit) return report(console, visit.error());
    print(console, arguments, *visit);
    if (visit->problem) return report(console, *visit->problem);
    return all_found(console, arguments, *visit) ? kSuccess : kFailure;
}

}  // namespace lovage::cli
