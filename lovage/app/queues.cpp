#include <lovage/app/queues.hpp>

namespace lovage {

QueueDeclaration task_queue(const Settings& settings, std::string name) {
    QueueDeclaration queue;
    queue.name = std::move(name);
    queue.max_priority = settings.task_queue_max_priority;
    return queue;
}

std::string quarantine_queue(const std::string& queue) {
    return queue + ".quarantine";
}

}  // namespace lovage
