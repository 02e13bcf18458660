#pragma once

#include <filesystem>
#include <string>

#include <sys/types.h>

namespace lovage::chaos {

/// A RabbitMQ that belongs to this program, to be broken: started with tools/services in a folder
/// below the working directory. It ends with this object, and with the program however that ends.
class OwnRabbitMq {
public:
    /// Throws std::runtime_error when it does not start, with the reason in its output.
    explicit OwnRabbitMq(std::filesystem::path state);
    ~OwnRabbitMq();
    OwnRabbitMq(const OwnRabbitMq&) = delete;
    OwnRabbitMq& operator=(const OwnRabbitMq&) = delete;

    [[nodiscard]] const std::string& url() const noexcept { return url_; }

    [[nodiscard]] pid_t pid() const;
    /// kill -9.
    void kill() const;
    /// The same server again, on the same ports; returns when it answers.
    void start();
    /// SIGSTOP and SIGCONT: it is there, and silent.
    void pause() const;
    void resume() const;
    /// rabbitmqctl; throws std::runtime_error when it fails.
    void control(const std::string& arguments) const;
    /// What rabbitmqctl prints.
    [[nodiscard]] std::string query(const std::string& arguments) const;
    /// Whether its log says so anywhere.
    [[nodiscard]] bool has_logged(const std::string& text) const;

private:
    void services(const std::string& command) const;
    [[nodiscard]] std::string output_of(const std::string& command) const;

    std::filesystem::path state_;
    std::string url_;
    int alive_ = -1;  ///< Its end tells the guard that this program is gone.
};

}  // namespace lovage::chaos
