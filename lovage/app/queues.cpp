#include <lovage/app/queues.hpp>

#include <lovage/app/delivery.hpp>
#include <lovage/runtime/detail/utf8.hpp>

#include <fmt/format.h>

#include <cstdint>
#include <string_view>
#include <utility>

namespace lovage {

namespace {

/// AMQP 0-9-1's short strings.
constexpr std::size_t kNameBytesMax = 255;

/// FNV-1a: every program must come to the same name.
std::uint64_t stable_hash(std::string_view text) {
    std::uint64_t hash = 0xCBF29CE484222325U;
    for (const char byte : text) {
        hash = (hash ^ static_cast<unsigned char>(byte)) * 0x100000001B3U;
    }
    return hash;
}

std::string queue_type(const Settings& settings, const std::string& name) {
    const std::string& wanted = name == settings.task_default_queue
                                    ? settings.task_default_queue_type
                                    : settings.task_create_missing_queue_type;
    return wanted.empty() ? delivery_rules(settings).queue_type : wanted;
}

Awaitable<Result<void>> declare_with_exchange(Broker* broker, QueueDeclaration queue,
                                              Deadline deadline) {
    const std::string name = queue.name;
    auto declared = co_await broker->declare_queue(std::move(queue), deadline);
    if (!declared) co_return declared;
    ExchangeDeclaration exchange;
    exchange.name = name;
    declared = co_await broker->declare_exchange(std::move(exchange), deadline);
    if (!declared) co_return declared;
    Binding binding{name, name, name};
    co_return co_await broker->bind(std::move(binding), deadline);
}

}  // namespace

bool is_quorum_queue(const Settings& settings, const std::string& name) {
    return queue_type(settings, name) == "quorum";
}

QueueDeclaration task_queue(const Settings& settings, std::string name) {
    QueueDeclaration queue;
    const std::string type = queue_type(settings, name);
    if (!type.empty()) queue.arguments.set("x-queue-type", type);
    queue.name = std::move(name);
    queue.max_priority = settings.task_queue_max_priority;
    return queue;
}

Awaitable<Result<void>> declare_task_queue(Broker& broker, const Settings& settings,
                                           std::string name, Deadline deadline) {
    return declare_with_exchange(&broker, task_queue(settings, std::move(name)), deadline);
}

std::string quarantine_queue(const std::string& queue) {
    constexpr std::string_view kSuffix = ".quarantine";
    if (queue.size() + kSuffix.size() <= kNameBytesMax) return queue + std::string{kSuffix};
    const std::string mark = fmt::format("~{:016x}", stable_hash(queue));
    const std::size_t most = kNameBytesMax - kSuffix.size() - mark.size();
    return fmt::format("{}{}{}", detail::utf8_prefix(queue, most), mark, kSuffix);
}

QueueDeclaration quarantine_declaration(const Settings& settings, std::string name) {
    QueueDeclaration queue;
    queue.name = std::move(name);
    if (const std::string type = delivery_rules(settings).queue_type; !type.empty()) {
        queue.arguments.set("x-queue-type", type);
    }
    return queue;
}

}  // namespace lovage
