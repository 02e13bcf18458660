#include <lovage/core/task_context.hpp>

namespace lovage {

namespace {
thread_local TaskContext* current_context = nullptr;
}

void TaskContext::add_child(std::string task_id) {
    const std::lock_guard lock{mutex_};
    children_.push_back(std::move(task_id));
}

std::vector<std::string> TaskContext::children() const {
    const std::lock_guard lock{mutex_};
    return children_;
}

TaskContext* TaskContext::current() noexcept {
    return current_context;
}

TaskContext::Scope::Scope(TaskContext& context) noexcept
    : previous_{std::exchange(current_context, &context)} {}

TaskContext::Scope::~Scope() {
    current_context = previous_;
}

}  // namespace lovage
