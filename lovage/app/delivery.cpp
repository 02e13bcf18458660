#include <lovage/app/delivery.hpp>

#include <fmt/core.h>

namespace lovage {

namespace {

constexpr const char* kWhy =
    "a message acknowledged before its task runs is lost when the worker dies; that belongs to "
    "delivery=celery";

}  // namespace

DeliveryRules delivery_rules(const Settings& settings) {
    const bool as_celery = settings.delivery == DeliveryProfile::celery;
    DeliveryRules rules;
    rules.acks_late = settings.task_acks_late.value_or(!as_celery);
    rules.acks_on_failure_or_timeout = settings.task_acks_on_failure_or_timeout.value_or(true);
    rules.reject_on_worker_lost = settings.task_reject_on_worker_lost.value_or(!as_celery);
    rules.mandatory = settings.task_publish_mandatory.value_or(!as_celery);
    rules.keep_rejected = !as_celery;
    if (settings.delivery == DeliveryProfile::quorum) rules.queue_type = "quorum";
    return rules;
}

Result<void> check_delivery(const Settings& settings) {
    if (settings.delivery == DeliveryProfile::celery || settings.task_acks_late.value_or(true))
        return {};
    const auto origin = settings.origins.find("task_acks_late");
    return fail(Errc::invalid_argument,
                fmt::format("task_acks_late=false ({}): {}",
                            origin == settings.origins.end() ? "program" : origin->second, kWhy));
}

Result<void> check_delivery(const Settings& settings, const TaskDefinition& task) {
    if (settings.delivery == DeliveryProfile::celery || task.options.acks_late.value_or(true))
        return {};
    return fail(Errc::invalid_argument,
                fmt::format("task '{}' has acks_late(false): {}", task.name, kWhy));
}

}  // namespace lovage
