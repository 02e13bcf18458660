#include <lovage/app/queues.hpp>

namespace lovage {

QueueDeclaration task_queue(const Settings& settings, std::string name) {
    QueueDeclaration queue;
    const std::string& type = name == settings.task_default_queue
                                  ? settings.task_default_queue_type
                                  : settings.task_create_missing_queue_type;
    if (!type.empty()) queue.arguments.set("x-queue-type", type);
    queue.name = std::move(name);
    queue.max_priority = settings.task_queue_max_priority;
    return queue;
}

std::string quarantine_queue(const std::string& queue) {
    return queue + ".quarantine";
}

}  // namespace lovage
