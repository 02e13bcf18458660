// What a worker says of itself: is it there, what time is it by its clock, what is revoked.

#include <chrono>
#include <cstddef>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <lovage/app/app_core.hpp>
#include <lovage/runtime/process_stats.hpp>
#include <lovage/worker/control/command.hpp>

namespace lovage::control {
namespace {

/// Askers wait for a second unless told otherwise.
constexpr std::chrono::milliseconds kStoreAnswers{800};
/// Revocations that are listed; Celery's workers keep no more either.
constexpr std::size_t kRevokedMost = 50'000;

Awaitable<Answer> ping(Call /*call*/) {
    co_return ok("pong");
}

Awaitable<Answer> clock_now(Call call) {
    co_return Json::object({{"clock", call.worker->clock().now()}});
}

Awaitable<Answer> shutdown(Call call) {
    call.worker->request_warm_stop();
    co_return std::nullopt;
}

/// Celery differs: it says nothing when psutil is not installed.
Awaitable<Answer> memsample(Call call) {
    co_return call.worker->memory_samples().add(read_process_stats().resident_bytes);
}

/// Celery differs: it prints ten samples however many it is asked for, and without psutil it says
/// that there is none.
Awaitable<Answer> memdump(Call call) {
    constexpr std::size_t kUnlessTold = 10;
    std::size_t count = kUnlessTold;
    if (const Json* const given = call.argument("samples")) {
        const auto number = given->is_integer() ? given->as_int64() : std::nullopt;
        if (!number || *number < 0)
            co_return error("samples should be a whole number of 0 or more");
        count = static_cast<std::size_t>(*number);
    }
    co_return call.worker->memory_samples().dump(count, read_process_stats().resident_bytes);
}

/// It counts and draws the objects of a Python process; there are none here. The words are those of
/// a Python worker without the package that does it.
Awaitable<Answer> objgraph(Call /*call*/) {
    co_return raised("ImportError", "Requires the objgraph library");
}

Awaitable<Result<std::vector<std::string>>> revoked_ids(StateStore* store) {
    const std::string prefix = revocation_key("");
    auto entries = co_await store->list(prefix, kRevokedMost, Deadline::in(kStoreAnswers));
    if (!entries) co_return std::unexpected{std::move(entries.error())};
    std::vector<std::string> ids;
    ids.reserve(entries->size());
    for (const auto& [key, entry] : *entries) ids.push_back(key.substr(prefix.size()));
    co_return ids;
}

Awaitable<Answer> revoked(Call call) {
    auto ids = co_await revoked_ids(&call.worker->state());
    if (!ids) co_return error(ids.error().message());
    Json list = Json::array();
    for (std::string& id : *ids) list.push_back(std::move(id));
    co_return list;
}

/// What a starting worker asks its neighbours (Celery's mingle).
///
/// Celery differs: revocations that it tells of are not taken over; ours lie in the state store,
/// where whoever revoked while one of our workers was up has put them.
Awaitable<Answer> hello(Call call) {
    const Json* const from = call.argument("from_node");
    if (from != nullptr && *from == Json{call.worker->node()}) co_return Json{};
    Json known = Json::object();
    if (auto ids = co_await revoked_ids(&call.worker->state())) {
        // Wire: id → [time on the monotonic clock, id].
        const double now =
            std::chrono::duration<double>{ControlledWorker::Clock::now().time_since_epoch()}
                .count();
        Json::Object members;
        members.reserve(ids->size());
        for (std::string& id : *ids) {
            Json entry = Json::array({now, id});
            members.emplace_back(std::move(id), std::move(entry));
        }
        known = Json::object(std::move(members));
    }
    co_return Json::object(
        {{"revoked", std::move(known)}, {"clock", call.worker->clock().forward()}});
}

/// Workers here do not stand; they acknowledge those that do (Elections).
Awaitable<Answer> election(Call /*call*/) {
    co_return Json{};
}

constexpr std::string_view kFromNode[]{"from_node"};
constexpr std::string_view kObjgraph[]{"num", "max_depth", "type"};
constexpr std::string_view kElection[]{"id", "topic"};

}  // namespace

std::span<const Command> node_commands() {
    static constexpr Command kCommands[]{
        {"ping", "", {}, std::nullopt, ping},
        {"clock", "", {}, std::nullopt, clock_now},
        {"revoked", "dump_revoked", {}, std::nullopt, revoked},
        {"hello", "", kFromNode, std::nullopt, hello},
        {"election", "", kElection, std::nullopt, election},
        {"memsample", "", {}, std::nullopt, memsample},
        {"memdump", "", {}, std::nullopt, memdump},
        {"objgraph", "", {}, std::span<const std::string_view>{kObjgraph}, objgraph},
        {"shutdown", "", {}, std::nullopt, shutdown},
    };
    return kCommands;
}

}  // namespace lovage::control
