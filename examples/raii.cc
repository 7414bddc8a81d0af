// SPDX-License-Identifier: MIT
//
// The C++ class: the same profilers, checkpoints and options as the macros, as objects.
#include <lapmark.h>

#include <cstdio>
#include <numeric>
#include <stdexcept>
#include <string>
#include <vector>

namespace
{

std::vector<long> build(std::size_t count)
{
    lapmark::profiler profiler(LAP_LABEL("build %zu specs", count));
    std::vector<long> specs(count);
    profiler.mark(LAP_LABEL("reserved"));
    std::iota(specs.begin(), specs.end(), 0L);
    profiler.mark(LAP_LABEL_N(count, "filled"));
    return specs;
}

// A profiler as a member: its lap runs as long as the object lives.
class session
{
  public:
    explicit session(const std::string &user)
        : profiler_(LAP_LABEL("session of %s", user.c_str()), lapmark::options().threshold_ms(0))
    {
    }
    void apply(const std::vector<long> &specs)
    {
        sum_ += std::accumulate(specs.begin(), specs.end(), 0L);
        profiler_.mark(LAP_LABEL("applied"));
    }
    long sum() const { return sum_; }

  private:
    lapmark::profiler profiler_;
    long sum_ = 0;
};

// An exception leaves a profiler as a return does.
void fail_halfway()
{
    lapmark::profiler profiler(LAP_LABEL("fail halfway"));
    profiler.mark(LAP_LABEL("began"));
    throw std::runtime_error("no more specs");
}

} // namespace

int main()
{
    lapmark::profiler profiler(LAP_LABEL("main()"));
    long sum = 0;
    {
        session someone("someone");
        for (std::size_t count = 1000; count <= 1000000; count *= 10)
            someone.apply(build(count));
        sum = someone.sum();
    }
    profiler.mark(LAP_LABEL("sum is %ld", sum));

    // silent with all that is in it, as if it were not there
    {
        lapmark::profiler quiet(LAP_LABEL("quiet"), lapmark::options().disabled());
        quiet.mark(LAP_LABEL("not heard"));
    }
    try {
        fail_halfway();
    } catch (const std::exception &error) {
        profiler.mark(LAP_LABEL_TEXT(error.what()));
    }
    // the macros work here too, and mean the same innermost profiler
    LAP_MARK("ended early, after %llu ns", static_cast<unsigned long long>(profiler.elapsed_ns()));
    profiler.end();
    std::printf("%ld\n", sum);
    return 0;
}
