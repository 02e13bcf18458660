#include <lovage/worker/events/custom_events.hpp>

#include <lovage/core/time.hpp>
#include <lovage/events/event.hpp>

#include <boost/asio/post.hpp>

#include <utility>

namespace lovage {

CustomEvents::CustomEvents(Executor loop, std::function<void()> on_news)
    : loop_{std::move(loop)}, on_news_{std::move(on_news)} {}

void CustomEvents::send(const std::string& task_id, std::string type, Json fields) {
    Event event{std::move(type), {}, unix_seconds(wall_clock_now())};
    event.fields.text("uuid", task_id);
    for (const auto& [name, value] : fields.as_object()) event.fields.json(name, value);
    const std::size_t bytes = event.type.size() + event.fields.members().size();
    const std::lock_guard lock{mutex_};
    if (closed_) return;
    if (waiting_.events.size() >= kEventsMost || bytes_ + bytes > kBytesMost) {
        ++waiting_.dropped;
    } else {
        bytes_ += bytes;
        waiting_.events.push_back(std::move(event));
    }
    if (told_.exchange(true)) return;
    boost::asio::post(loop_, [self = shared_from_this()] {
        if (self->on_news_) self->on_news_();
    });
}

CustomEvents::Taken CustomEvents::take() {
    if (!told_) return {};  // nearly always
    const std::lock_guard lock{mutex_};
    told_ = false;
    bytes_ = 0;
    return std::exchange(waiting_, {});
}

void CustomEvents::close() {
    on_news_ = nullptr;
    const std::lock_guard lock{mutex_};
    closed_ = true;
    waiting_ = {};
}

}  // namespace lovage
