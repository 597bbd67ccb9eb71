"""How long a language model trains on eight rented devices, and what that costs.

Nothing runs but shapes: no device is needed, and no weights are made.
"""

from botec.duration import Asked, duration

asked = Asked("a100-80gb", run="2B tokens", gpus=8, price="2.5/h")
report = duration(
    "transformers:gpt2", asked=asked, B=16, S=1024, precision="amp-bf16", optimizer="adamw"
)
print(report)

figures = report.figures
hours = figures["time.run"].counted.value / 3600
low, high = figures["time.run"].low / 3600, figures["time.run"].high / 3600
dollars = figures["cost.run"].counted.value
print(f"{hours:.1f} hours ({low:.1f} to {high:.1f}), about {dollars:,.0f} dollars")
