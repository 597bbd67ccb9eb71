"""What does a training step of ResNet-50 with a batch of 32 cost? The whole page, from Python."""

import botec

report = botec.estimate("torchvision:resnet50", B=32, optimizer="adamw")
print(report)

peak = report.figures["memory.peak"].counted
print(f"{peak.value / 2**30:.2f} GiB at the peak ({peak.status})")
