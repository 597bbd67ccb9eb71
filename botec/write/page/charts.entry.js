// What the page needs of ECharts 6.1.0 (Apache-2.0, see charts.LICENSE), bundled into charts.min.js:
//   npm install echarts@6.1.0 esbuild
//   npx esbuild charts.entry.js --bundle --minify --format=iife --global-name=charts \
//     --legal-comments=none --outfile=charts.min.js
export { init } from "echarts/core";
import { use } from "echarts/core";
import { LineChart, TreemapChart, ScatterChart, CustomChart } from "echarts/charts";
import {
  GridComponent, TooltipComponent, LegendComponent, DataZoomComponent, MarkLineComponent,
  MarkPointComponent, AriaComponent, TitleComponent,
} from "echarts/components";
import { SVGRenderer, CanvasRenderer } from "echarts/renderers";
use([
  LineChart, TreemapChart, ScatterChart, CustomChart, GridComponent, TooltipComponent,
  LegendComponent, DataZoomComponent, MarkLineComponent, MarkPointComponent, AriaComponent,
  TitleComponent, SVGRenderer, CanvasRenderer,
]);
